"""What a replica is made of: plain data that the bridge deploys and a replica opens."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from attrs import asdict, field, frozen

from orac_core import LoadRequest

from .wire import packed


@frozen
class Inside:
    """The backend within a replica, and the model that it loads.

    Attributes:
        kind: Kind of the backend.
        settings: What stands in its table.
        request: The load, as the backend within calls the model.
        paths: Folders on the nodes that are searched for model files.
        checksum: ``sha256:…`` that the model's file must have; None where nobody said.
        pause_s: Least time between two messages of a stream.
    """

    kind: str
    request: LoadRequest
    settings: Mapping[str, Any] = field(factory=dict)
    paths: tuple[str, ...] = ()
    checksum: str | None = None
    pause_s: float = 0.004

    @property
    def digest(self) -> str:
        """What tells it from every other; a model whose replicas hold another is changed."""
        return sha256(packed(asdict(self), order="deterministic")).hexdigest()[:16]


@frozen
class Seats:
    """How many replicas there are, where, and what each takes.

    Attributes:
        replicas: How many there are at least.
        most: How many there are at most.
        busy: Answers at once in each that more replicas are started for.
        up_after_s: Time for which they have to be that busy.
        down_after_s: Time after which a replica too many is stopped.
        parallel: Answers at once in each.
        resources: What one takes of its node, as Ray names it: ``CPU``, ``GPU``, ``memory`` …
        labels: Labels that its node must have.
        for_each_node: Most replicas on one node; None for any number.
    """

    replicas: int = 1
    most: int = 1
    busy: float = 2.0
    up_after_s: float = 5.0
    down_after_s: float = 60.0
    parallel: int = 8
    resources: Mapping[str, float] = field(factory=dict)
    labels: Mapping[str, str] = field(factory=dict)
    for_each_node: int | None = None


@frozen
class Spec:
    """A model on a cluster.

    Attributes:
        app: Name of its application.
        inside: What each replica holds.
        seats: How many replicas there are, and where.
        start_timeout_s: Time that the replicas have to start.
        drain_s: Time that running answers get when a replica is stopped.
    """

    app: str
    inside: Inside
    seats: Seats = field(factory=Seats)
    start_timeout_s: float = 300.0
    drain_s: float = 120.0
