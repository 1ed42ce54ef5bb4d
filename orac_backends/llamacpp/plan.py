"""How one model is to be served: decided from the request, the settings and the file. Pure."""

from attrs import frozen

from orac_core import Adapter, LoadedInfo, LoadRequest, ModelFile

from .._request import check_load
from .settings import CacheType, LlamaCppSettings
from .vectors import Vectors, vectors

_DEFAULT_CONTEXT = 4096
_DEFAULT_TEXT = 512  # its batch is as long, and takes memory with every token of the vocabulary
_CACHE_BYTES: dict[CacheType, float] = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
_START_BYTES_PER_S = 25 << 20


@frozen
class Plan:
    """What the engine is told about one model.

    Attributes:
        file: The model's file.
        context_length: Tokens of one answer and its prompt.
        parallel: Answers at once.
        gpu_layers: Layers on the GPU; None leaves it to the engine.
        threads: Threads that compute.
        start_timeout_s: Time it has to start.
        vectors: How it makes vectors; None when it makes none.
        adapters: LoRA adapters to put on it.
        cache_type: How numbers are kept in the cache.
    """

    file: ModelFile
    context_length: int
    parallel: int
    gpu_layers: int | None
    threads: int
    start_timeout_s: float
    vectors: Vectors | None = None
    adapters: tuple[Adapter, ...] = ()
    cache_type: CacheType = "f16"

    @property
    def total_context(self) -> int:
        """Tokens of all answers together: each slot of the engine gets an equal part."""
        return self.context_length * self.parallel


def usual(file: ModelFile, settings: LlamaCppSettings, gpu_layers: int | None) -> LoadedInfo:
    """Return what a load that asks for nothing uses.

    Args:
        file: The model.
        settings: From the manifest.
        gpu_layers: What the engine does when the settings say nothing either.
    """
    chosen = settings.gpu_layers
    return LoadedInfo(
        context_length=_context_length(file, settings.context_length),
        gpu_layers=gpu_layers if chosen is None else chosen,
        parallel=settings.parallel,
        cache_type_bytes=_CACHE_BYTES[settings.cache_type],
    )


def _context_length(file: ModelFile, wanted: int | None) -> int:
    header = file.header
    usual = _DEFAULT_TEXT if header and header.is_encoder else _DEFAULT_CONTEXT
    trained = header.context_length if header else None
    return min(wanted or usual, trained or wanted or usual)


def plan(
    file: ModelFile, request: LoadRequest, settings: LlamaCppSettings, free_cores: int
) -> Plan:
    """Decide how to serve *file*, on as many cores as are free unless the settings say more.

    Raises:
        InvalidRequest: naming the option that is out of range.
    """
    check_load(request)
    context = _context_length(file, request.context_length or settings.context_length)
    parallel = request.parallel or settings.parallel
    return Plan(
        file=file,
        context_length=context,
        parallel=parallel,
        gpu_layers=settings.gpu_layers if request.gpu_layers is None else request.gpu_layers,
        threads=settings.threads or free_cores,
        # The slowest storage ORAC is made for, an SD card, and twice that for the work.
        start_timeout_s=settings.start_timeout_s + file.size_bytes / _START_BYTES_PER_S,
        vectors=vectors(file, context, parallel, settings),
        adapters=request.adapters or (),
        cache_type=settings.cache_type,
    )
