"""What the manifest may say about a backend of kind ``ray``."""

import re
from collections.abc import Mapping
from typing import Any

from attrs import Attribute, field, frozen
from attrs.validators import ge, gt, le, optional

_ADDRESS = re.compile(r"auto|(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):\d{1,5}")
_OWN = {"num_cpus": "CPU", "num_gpus": "GPU", "memory_mib": "memory"}


def _an_address(_: object, __: "Attribute[Any]", value: str | None) -> None:
    if value is None or _ADDRESS.fullmatch(value):
        return
    client = "; ORAC has to run on a node of the cluster, not as a client of it"
    raise ValueError(
        f"'address' must be HOST:PORT of the cluster's head, or auto: {value}"
        f"{client if value.startswith('ray:') else ''}",
    )


def _amounts(_: object, attribute: "Attribute[Any]", value: Mapping[str, float]) -> None:
    for name, amount in value.items():
        if not 0 < amount < float("inf"):
            raise ValueError(f"{attribute.name!r}: {name} must be above 0: {amount}")
        if own := [ours for ours, theirs in _OWN.items() if name == theirs]:
            raise ValueError(f"{attribute.name!r} must not have {name}; write {own[0]}")


@frozen
class RayModel:
    """A table ``[backends.NAME.models.MODEL]``: a model, and what serves it on the nodes.

    Attributes:
        kind: Kind of the backend in each replica: ``llamacpp``, ``ollama``, ``python`` …
        settings: What stands in the table of such a backend.
        model: What that backend calls the model; without it the name of this table.
        paths: Folders on the nodes that are searched for files of models and adapters.
        checksum: ``sha256:…`` that the model's file must have on every node; without it the one of
            ``[models.files]``, or else that of the file of the same name where ORAC runs.
        replicas: How many there are, or with ``max_replicas`` how many there are at least.
        max_replicas: How many there are at most; more are started while those there are busy.
        busy: Answers at once in each replica that more are started for, fewer than ``parallel``.
        scale_up_after_s: Time for which they have to be that busy.
        scale_down_after_s: Time after which a replica that is not needed is stopped.
        parallel: Answers at once in each replica.
        num_cpus: CPUs that a replica takes of its node.
        num_gpus: GPUs that it takes; a part of one is shared.
        memory_mib: Memory in MiB that it takes, as Ray counts it.
        resources: Other resources that it takes, such as the name of a board.
        labels: Labels that its node must have.
        replicas_per_node: Most replicas on one node.
        capabilities: What the model can do, as long as it is not loaded.
    """

    kind: str
    settings: Mapping[str, Any] = field(factory=dict)
    model: str | None = None
    paths: tuple[str, ...] = ()
    checksum: str | None = None
    replicas: int = field(default=1, validator=[ge(1), le(10_000)])
    max_replicas: int | None = field(default=None, validator=optional(le(10_000)))
    busy: float = field(default=2.0, validator=gt(0.0))
    scale_up_after_s: float = field(default=5.0, validator=ge(0.0))
    scale_down_after_s: float = field(default=60.0, validator=ge(0.0))
    parallel: int = field(default=8, validator=[ge(1), le(1024)])
    num_cpus: float = field(default=1.0, validator=ge(0.0))
    num_gpus: float = field(default=0.0, validator=ge(0.0))
    memory_mib: int = field(default=0, validator=ge(0))
    resources: Mapping[str, float] = field(factory=dict, validator=_amounts)
    labels: Mapping[str, str] = field(factory=dict)
    replicas_per_node: int | None = field(default=None, validator=optional(ge(1)))
    capabilities: tuple[str, ...] = ("completion", "chat")

    def __attrs_post_init__(self) -> None:
        if self.kind == "ray":
            raise ValueError("'kind' must be what serves the model on a node, not ray again")
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError("'max_replicas' must not be below 'replicas'")
        if (self.max_replicas or 0) > self.replicas and self.busy >= self.parallel:
            raise ValueError(
                f"'busy' must be below 'parallel' ({self.parallel}): replicas are added above "
                "'busy', and 'parallel' is all that one is given at once",
            )


@frozen
class RaySettings:
    """Which cluster, and the models on it.

    Attributes:
        address: ``HOST:PORT`` of the cluster's head, or ``auto`` for the one that this machine is
            a node of; without it a cluster of this machine alone, which ends with ORAC.
        models: The models, by what they are called.
        prefix: What the names of ORAC's applications on the cluster begin with; backends that
            share it share their models.
        start_timeout_s: Time that the replicas of a model have to start.
        connect_timeout_s: Time that it may take to join the cluster, or to make one.
        patience_s: Time that a request has to be taken by a replica that lives on, when replicas
            die or none is there.
        drain_s: Time that running answers get when a replica is stopped.
        batch_ms: Least time between two messages of a stream; what the model writes meanwhile
            comes together.
    """

    address: str | None = field(default=None, validator=_an_address)
    models: Mapping[str, RayModel] = field(factory=dict)
    prefix: str = "orac"
    start_timeout_s: float = field(default=300.0, validator=gt(0.0))
    connect_timeout_s: float = field(default=60.0, validator=gt(0.0))
    patience_s: float = field(default=30.0, validator=gt(0.0))
    drain_s: float = field(default=120.0, validator=ge(0.0))
    batch_ms: float = field(default=4.0, validator=[ge(0.0), le(1000.0)])
