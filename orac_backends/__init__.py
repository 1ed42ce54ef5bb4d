"""The kinds of backend that ship with ORAC; they have no privilege over a stranger's plugin."""
