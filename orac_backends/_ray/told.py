"""What the bridge tells of the cluster, as values. Pure."""

from collections.abc import Iterable, Mapping

from attrs import field, frozen

_BYTES = ("memory", "object_store_memory")


@frozen
class Node:
    """A node of the cluster that is alive.

    Attributes:
        address: Its address, for people.
        resources: All that it has, as Ray names it.
        labels: Its labels.
    """

    address: str
    resources: Mapping[str, float] = field(factory=dict)
    labels: Mapping[str, str] = field(factory=dict)

    def holds(self, wanted: Mapping[str, float], labels: Mapping[str, str]) -> bool:
        """Whether one replica that takes so much has a place on it, were it empty."""
        enough = all(self.resources.get(name, 0.0) >= amount for name, amount in wanted.items())
        return enough and all(self.labels.get(name) == it for name, it in labels.items())


@frozen
class App:
    """A model on the cluster, as Ray Serve reports it.

    Attributes:
        status: Of the application, in Ray's word.
        message: Why it is so.
        replicas: How many there are in each state, in Ray's words.
        wanted: How many there should be.
    """

    status: str
    message: str = ""
    replicas: Mapping[str, int] = field(factory=dict)
    wanted: int = 0

    @property
    def running(self) -> int:
        """Replicas that answer."""
        return self.replicas.get("RUNNING", 0)

    @property
    def going(self) -> bool:
        """Whether it is being deleted."""
        return self.status == "DELETING"


@frozen
class Cluster:
    """The cluster as it is now.

    Attributes:
        version: Of Ray.
        nodes: Those that are alive.
        apps: By their names.
    """

    version: str = ""
    nodes: tuple[Node, ...] = ()
    apps: Mapping[str, App] = field(factory=dict)


def homes(wanted: Mapping[str, float], labels: Mapping[str, str], nodes: Iterable[Node]) -> int:
    """Return how many nodes could hold a replica that takes so much, were they empty."""
    return sum(node.holds(wanted, labels) for node in nodes)


def homeless(
    wanted: Mapping[str, float], labels: Mapping[str, str], nodes: Iterable[Node]
) -> str | None:
    """Return why no node could ever hold a replica that takes so much; None where one could."""
    nodes = tuple(nodes)
    if homes(wanted, labels, nodes):
        return None
    there = "; ".join(f"{each.address} has {_listed(each.resources)}" for each in nodes)
    asked = _listed(wanted) + "".join(f", label {name}={it}" for name, it in labels.items())
    return f"no node of the cluster has {asked}: {there or 'there is none'}"


def _listed(resources: Mapping[str, float]) -> str:
    shown = {name: it for name, it in resources.items() if not name.startswith("node:")}
    return ", ".join(_amount(*each) for each in sorted(shown.items())) or "nothing"


def _amount(name: str, amount: float) -> str:
    return f"{name} {amount / 2**20:.0f} MiB" if name in _BYTES else f"{name} {amount:g}"
