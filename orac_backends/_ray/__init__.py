"""What runs beside ORAC for the kind ``ray``: the bridge to a cluster, and the replicas on it.

ORAC itself never imports Ray: a driver whose cluster dies is ended by Ray after a minute, and one
process can be a driver of one cluster only. So each backend of this kind has a bridge, a process of
its own that ORAC speaks with over a Unix socket. Only plain data crosses.
"""
