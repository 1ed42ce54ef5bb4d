"""What the engine says in its log: there alone stands why it could not load a model. Pure."""

import re
from collections.abc import Iterable
from pathlib import Path

from orac_core import BackendError, ModelFileInvalid, OracError

_STAMP = re.compile(r"^[\d.]+ [A-Z] +")
_NO_GPU = "worker: no GPU"
_OFFLOADED = re.compile(r"offloaded (\d+)(?:/\d+)? layers to GPU")
_MEMORY = re.compile(
    r"out of (device )?memory|failed to allocate|unable to allocate|cannot allocate|"
    r"cudaMalloc failed|not enough memory|insufficient memory|allocation failed|bad_alloc",
    re.IGNORECASE,
)
# In the order of how much they say: the engine repeats one fault on each of its levels.
_FILE_FAULTS = (
    re.compile(r"gguf_init_from_\w+: (?!failed to read|failed to open)(.+)"),
    re.compile(r"error loading model: (?!llama_model_loader: failed to load)(.+)"),
    re.compile(r"gguf_init_from_\w+: (.+)"),
    re.compile(r"common_(chat_templates_init: error: .+)"),
    re.compile(r"(chat template parsing error: .+)"),
    re.compile(
        r"(?:gguf|llama-(?:arch|hparams|model|model-loader|vocab))\.cpp:\d+: (GGML_ASSERT.+)"
    ),
)
_CACHE_TYPE = re.compile(r"cache type \S+ .*does not divide|cache quantization requires")
_IGNORED_FORMAT = re.compile(r"llg error: (?:at \S+: )?(.+)")
_LISTENING = re.compile(r"couldn't bind|failed to bind", re.IGNORECASE)


def failed_start(model: str, path: Path, lines: tuple[str, ...], ended: str) -> OracError:
    """Return why the engine could not start, as its log tells it.

    Args:
        model: Id of the model.
        path: Its file.
        lines: The last lines of the log.
        ended: How the process ended.
    """
    if line := _first(_MEMORY, lines):
        return BackendError(
            f"there is not enough memory for {model} ({line}); unload other models, or load it "
            "with a smaller context_length or fewer parallel answers",
        )
    for fault in _FILE_FAULTS:
        for line in lines:
            if found := fault.search(line):
                return ModelFileInvalid(path, f"llama.cpp cannot load it: {found[1]}")
    if line := _first(_CACHE_TYPE, lines):
        return BackendError(
            f"llama.cpp can not keep the context of {model} in so few bits ({line}); set "
            '`cache_type = "f16"` in the table of this backend, or give the model one of its own',
        )
    if line := _first(_LISTENING, lines):
        return BackendError(f"llama.cpp could not listen ({line}); load the model again")
    return BackendError(f"llama.cpp could not start with {model}: {ended}; {told(lines)}")


def told(lines: tuple[str, ...], count: int = 6) -> str:
    """Return the last lines as one."""
    if not lines:
        return "it wrote nothing"
    return "its last words: " + " | ".join(_STAMP.sub("", line) for line in lines[-count:])


def offloaded_layers(lines: Iterable[str]) -> int | None:
    """Return the number of layers on the GPU; None where the engine did not say."""
    found = [match for line in lines if (match := _OFFLOADED.search(line))]
    return int(found[-1][1]) if found else None


def sees_gpu(lines: Iterable[str]) -> bool | None:
    """Whether the engine lists a GPU; None where it did not say.

    Where it lists none it says nothing of layers, and the worker says so itself.
    """
    told = [_NO_GPU not in line for line in lines if _OFFLOADED.search(line)]
    return told[-1] if told else None


def ignored_format(lines: Iterable[str]) -> str | None:
    """Return why the engine does not hold to a format, if it says so: it says it nowhere else."""
    return next((found[1] for line in lines if (found := _IGNORED_FORMAT.search(line))), None)


def _first(pattern: re.Pattern[str], lines: tuple[str, ...]) -> str | None:
    return next((_STAMP.sub("", line) for line in lines if pattern.search(line)), None)
