"""How one checkpoint is to be served: decided from request, settings and its files. Pure."""

from attrs import frozen

from orac_core import LoadedInfo, LoadRequest

from .._request import check_load
from .checkpoint import Checkpoint
from .settings import TransformersSettings

_DEFAULT_CONTEXT = 4096
_START_BYTES_PER_S = 25 << 20


@frozen
class Plan:
    """What a worker is told about one model.

    Attributes:
        checkpoint: What it serves.
        context_length: Tokens of one answer and its prompt.
        device: Where it computes.
        dtype: What it computes in.
        threads: Threads that compute.
        start_timeout_s: Time it has to start.
        idle_timeout_s: Longest silence during an answer.
    """

    checkpoint: Checkpoint
    context_length: int
    device: str
    dtype: str
    threads: int
    start_timeout_s: float
    idle_timeout_s: float


def plan(
    found: Checkpoint, request: LoadRequest, settings: TransformersSettings, free_cores: int
) -> Plan:
    """Decide how to serve *found*, on as many cores as are free unless the settings say more.

    Answers are made one at a time, and on one device: what a request says of both is not used.

    Raises:
        InvalidRequest: naming the option that is out of range.
    """
    check_load(request)
    return Plan(
        checkpoint=found,
        context_length=_context_length(found, request.context_length or settings.context_length),
        device=settings.device,
        dtype=settings.dtype,
        threads=settings.threads or free_cores,
        # The slowest storage ORAC is made for, an SD card, and twice that for the work.
        start_timeout_s=settings.start_timeout_s + (found.size_bytes or 0) / _START_BYTES_PER_S,
        idle_timeout_s=settings.idle_timeout_s,
    )


def usual(found: Checkpoint, settings: TransformersSettings) -> LoadedInfo:
    """Return what a load that asks for nothing uses."""
    return LoadedInfo(
        context_length=_context_length(found, settings.context_length),
        gpu_layers=0 if settings.device == "cpu" else None,
        parallel=1,
    )


def _context_length(found: Checkpoint, wanted: int | None) -> int:
    trained = found.context_length
    return min(wanted or _DEFAULT_CONTEXT, trained or wanted or _DEFAULT_CONTEXT)
