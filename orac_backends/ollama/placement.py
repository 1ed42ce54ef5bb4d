"""Where a model ended up, and whether that is where it belongs."""

from pathlib import Path

from .replies import Running

_DEVICES = ("dev/nvidia[0-9]*", "dev/nvhost-gpu", "dev/nvgpu", "dev/nvmap", "dev/kfd")
_SHARED = ("etc/nv_tegra_release", "dev/nvmap")
_GIB = 1 << 30
_WHOLE = 0.999


def has_gpu(root: Path = Path("/")) -> bool:
    """Whether this machine shows a GPU that Ollama can compute on: NVIDIA, Jetson or AMD."""
    return any(any(root.glob(pattern)) for pattern in _DEVICES)


def shares_memory(root: Path = Path("/")) -> bool:
    """Whether CPU and GPU of this machine share one memory, as on a Jetson."""
    return any((root / path).exists() for path in _SHARED)


def held_bytes(runner: Running, *, shared: bool) -> int:
    """Return how much of the machine's own memory a model takes."""
    return runner.size_bytes if shared else runner.size_bytes - runner.vram_bytes


def shortfall(model: str, runner: Running) -> str | None:
    """Return the warning for a model that is not wholly on the GPU; None for one that is.

    The likely causes are those that Ollama's users met: see docs/how-to/ollama.md.
    """
    ratio = runner.on_gpu_ratio
    if ratio is None or ratio >= _WHOLE:
        return None
    numbers = (
        f"{runner.vram_bytes / _GIB:.2f} of {runner.size_bytes / _GIB:.2f} GiB ({ratio:.0%}) of "
        f"{model} are on the GPU"
    )
    if runner.vram_bytes == 0:
        return (
            f"{numbers}: it runs on the CPU, many times slower. Most likely Ollama has lost the "
            "GPU (a container that lost its device) or saw no free memory on it; restart Ollama, "
            "then load the model again"
        )
    return (
        f"{numbers}: the rest runs on the CPU, several times slower. Most likely Ollama saw too "
        "little free memory: on a board whose memory is shared, page cache counts as used. Unload "
        "other models, free the cache (sync; echo 3 > /proc/sys/vm/drop_caches, as root), ask for "
        "a smaller context_length, or set gpu_layers, then load the model again"
    )
