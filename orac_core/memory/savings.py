"""What a model that is loaded would leave free, were it loaded smaller. Pure."""

from attrs import evolve, frozen

from ..shape import Shape
from ..types import LoadedInfo, LoadRequest, ModelInfo, ModelState
from .demand import setup
from .estimate import Need, Setup, estimate

Q8_0 = 34 / 32
"""Bytes of one number in a cache of Q8_0: 32 of them share a scale of two bytes (``ggml``)."""


@frozen
class Savings:
    """What a model that is loaded would leave free, were it loaded smaller: estimates, in bytes.

    Each way counts alone. None stands where there is no such way, or nothing is known of it.

    Attributes:
        context_length: Half of its context, in tokens, for each answer.
        context_bytes: What that would free.
        parallel: Half as many answers at once.
        parallel_bytes: What that would free.
        cache_bytes: What a cache of Q8_0 in place of F16 would free.
        gpu_layers: Half of the layers that lie on the GPU.
        gpu_layers_bytes: What that would free of the GPU's own memory; the CPU's gets it.
    """

    context_length: int | None = None
    context_bytes: int | None = None
    parallel: int | None = None
    parallel_bytes: int | None = None
    cache_bytes: int | None = None
    gpu_layers: int | None = None
    gpu_layers_bytes: int | None = None


def savings(info: ModelInfo) -> Savings | None:
    """Return what *info*, a model that is loaded, would free in each of the ways to load it less.

    None when it is not in this machine's memory, or nothing is known of what it is made of.
    """
    loaded, shape = info.loaded, info.shape
    if info.state is not ModelState.READY or loaded is None or shape is None or info.remote:
        return None
    now = _in_use(info, loaded)
    need = estimate(shape, now)
    context, parallel, layers = _halves(shape, now, loaded)
    q8_0 = evolve(now, cache_type_bytes=min(Q8_0, now.cache_type_bytes))
    return Savings(
        context,
        context and _freed(need, shape, evolve(now, context_length=context)),
        parallel,
        parallel and _freed(need, shape, evolve(now, parallel=parallel)),
        _freed(need, shape, q8_0) or None,
        layers,
        layers and _moved(need, shape, evolve(now, gpu_layers=layers)),
    )


def _in_use(info: ModelInfo, loaded: LoadedInfo) -> Setup:
    as_it_is = LoadRequest(info.id, loaded.context_length, loaded.gpu_layers, loaded.parallel)
    return setup(info, as_it_is)


def _halves(
    shape: Shape, now: Setup, loaded: LoadedInfo
) -> tuple[int | None, int | None, int | None]:
    """Return half of the context, of the answers at once and of the layers on the GPU."""
    places = len(shape.blocks) + 1
    layers = places if now.gpu_layers is None else min(now.gpu_layers, places)
    nowhere = loaded.on_gpu_ratio == 0 or shape.is_encoder
    return (
        None if shape.is_encoder else now.context_length // 2 or None,
        now.parallel // 2 or None,
        None if nowhere else layers // 2 or None,
    )


def _freed(need: Need, shape: Shape, smaller: Setup) -> int:
    return need.total_bytes - estimate(shape, smaller).total_bytes


def _moved(need: Need, shape: Shape, fewer: Setup) -> int:
    return need.gpu_bytes - estimate(shape, fewer).gpu_bytes
