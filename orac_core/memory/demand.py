"""What a model needs in memory when it is loaded as asked for. Pure."""

from collections.abc import Sequence
from typing import Literal

from attrs import evolve, frozen

from ..shape import Shape
from ..types import LoadedInfo, LoadRequest, ModelInfo
from .estimate import Need, Setup, estimate
from .eviction import Space
from .measured import Measured, correction, exactly

Basis = Literal["measured", "estimated", "size"]

_DEFAULT_CONTEXT = 4096
_ROUGH_MARGIN = 256 << 20
_USUAL = Setup(_DEFAULT_CONTEXT)


@frozen
class Demand:
    """What a model needs, and how that is known.

    Attributes:
        need: The parts of it.
        basis: ``measured`` when a load of just this kind was measured before, ``estimated`` from
            what the file says, or only from its ``size``.
        correction_bytes: What earlier loads took beyond their estimate; it may be below 0.
        shape: What the model is made of; None when that is not known.
        setup: How it would be loaded.
    """

    need: Need
    basis: Basis
    correction_bytes: int = 0
    shape: Shape | None = None
    setup: Setup = _USUAL

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return max(0, self.need.total_bytes + self.correction_bytes)

    @property
    def largest(self) -> Space:
        """The most of each kind of memory that it may take, wherever the engine puts it."""
        return Space(self.total_bytes, min(self.need.gpu_bytes, self.total_bytes))

    def ways(self, *, unified: bool, free_gpu_bytes: int = 0) -> tuple[Space, ...]:
        """Return the spaces that it could be loaded into, the best first.

        Args:
            unified: Whether CPU and GPU share one memory.
            free_gpu_bytes: What the GPU has left: an engine that may choose puts what does not fit
                there beside the CPU.
        """
        if unified:
            return (Space(self.total_bytes),)
        on_gpu = min(self.need.gpu_bytes, self.total_bytes)
        best = Space(self.total_bytes - on_gpu, on_gpu)
        if on_gpu <= free_gpu_bytes or self.setup.gpu_layers is not None:
            return (best,)
        return best, Space(self.total_bytes - free_gpu_bytes, free_gpu_bytes)

    def at(self, need: Need) -> "Demand":
        """Return the same for another context, of which *need* is the estimate."""
        return evolve(self, need=need, basis="estimated")


NOTHING = Demand(Need(0, 0, 0, 0, gpu_bytes=0), "estimated")
"""Of a model that is loaded into the memory of another machine."""


def demand(info: ModelInfo, request: LoadRequest, known: Sequence[Measured] = ()) -> Demand | None:
    """Return what loading a model takes; None when nothing is known of it.

    Args:
        info: The model.
        request: How it is to be loaded.
        known: What earlier loads of it took.
    """
    if info.remote:
        return NOTHING
    if info.size_bytes is None and info.shape is None:
        return None
    how = setup(info, request)
    extra = adapter_bytes(info, request)
    need, size = _need(info, how, extra), (info.size_bytes or 0) + extra
    basis: Basis = "estimated" if info.shape else "size"
    beyond = correction(known, size)
    measured = exactly(known, size, how)
    if measured is not None:
        basis, beyond = "measured", measured - need.total_bytes
    return Demand(need, basis, _careful(beyond, need), info.shape, how)


def _careful(beyond_bytes: int, need: Need) -> int:
    """Return a correction that does not take away what an engine may only use later.

    What a batch takes while it is computed is resident once a long prompt was read, and a load may
    have been measured before that.
    """
    return beyond_bytes if beyond_bytes >= 0 else min(0, beyond_bytes + need.compute_bytes)


def adapter_bytes(info: ModelInfo, request: LoadRequest) -> int:
    """Return what the adapters take that a model is loaded with."""
    adapters = info.adapters if request.adapters is None else request.adapters
    return sum(it.size_bytes for it in adapters)


def _need(info: ModelInfo, how: Setup, extra_bytes: int) -> Need:
    """Return the estimate; of a model of which only the size is known, a guess."""
    size = info.size_bytes or 0
    guess = Need(size, 0, 0, size // 8 + _ROUGH_MARGIN, gpu_bytes=size)
    need = guess if info.shape is None else estimate(info.shape, how)
    on_gpu = extra_bytes if need.gpu_bytes else 0
    return evolve(
        need, weights_bytes=need.weights_bytes + extra_bytes, gpu_bytes=need.gpu_bytes + on_gpu
    )


def setup(info: ModelInfo, request: LoadRequest) -> Setup:
    """Return how a load would be made: as asked for, else as the backend does it."""
    usual = info.would_use or LoadedInfo()
    trained = info.context_length
    context = request.context_length or usual.context_length or _DEFAULT_CONTEXT
    layers = usual.gpu_layers if request.gpu_layers is None else request.gpu_layers
    return Setup(
        context_length=max(1, min(context, trained or context)),
        parallel=max(1, request.parallel or usual.parallel or 1),
        gpu_layers=layers,
        cache_type_bytes=usual.cache_type_bytes or _USUAL.cache_type_bytes,
    )
