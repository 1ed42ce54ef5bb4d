"""Why a worker could not start, from what it wrote last. Pure."""

import re
from pathlib import Path

from orac_core import BackendError, BackendUnavailable, ModelFileInvalid, OracError

_SAID = re.compile(r"^worker: (\w+): (.+)")
_MEMORY = re.compile(r"out of memory|can't allocate|bad_alloc|MemoryError", re.IGNORECASE)
_OWN_CODE = re.compile(r"trust_remote_code|custom code")
_DEVICE = re.compile(
    r"not compiled with CUDA|No CUDA GPUs|NVIDIA driver|invalid device ordinal|"
    r"Invalid device string|device type at start of device string",
    re.IGNORECASE,
)
_UNKNOWN_TYPE = re.compile(r"model type `([^`]{1,60})`")
_IMPORTS = ("ImportError", "ModuleNotFoundError")


def failed_start(model: str, path: Path, lines: tuple[str, ...], ended: str) -> OracError:
    """Return why a worker could not start.

    Args:
        model: Id of the model.
        path: Its folder.
        lines: The last lines that it wrote.
        ended: How the process ended.
    """
    if any(_MEMORY.search(line) for line in lines):
        return BackendError(
            f"there is not enough memory for {model} ({lines[-1]}); unload other models, or load "
            "it with a smaller context_length, or set dtype to a type of 16 bits",
        )
    said = next((found for line in lines if (found := _SAID.search(line))), None)
    if said is None:
        return BackendError(f"transformers could not start with {model}: {ended}; {told(lines)}")
    if said[1] in _IMPORTS:
        return BackendUnavailable(f"transformers could not start with {model}: {said[2]}")
    if _DEVICE.search(said[2]):
        return BackendError(
            f"the device that the manifest names for {model} can not be used ({said[2]}); set "
            '`device = "auto"`, or install a torch that is made for it',
        )
    return ModelFileInvalid(path, _fault(said[2]))


def _fault(said: str) -> str:
    if _OWN_CODE.search(said):
        return (
            "transformers has nothing of its own for it, and the code that it brings (auto_map) "
            "is never run; convert it, or take a newer transformers"
        )
    if unknown := _UNKNOWN_TYPE.search(said):
        return (
            f"transformers has nothing for the model_type {unknown[1]!r}, which its config.json "
            "says; convert it, or take a newer transformers"
        )
    return f"transformers cannot load it: {said}"


def told(lines: tuple[str, ...], count: int = 6) -> str:
    """Return the last lines as one."""
    if not lines:
        return "it wrote nothing"
    return "its last words: " + " | ".join(lines[-count:])
