"""What an error of Ollama means: from its status and text to an error of ORAC's. Pure.

Texts and statuses are those of Ollama 0.24 to 0.33 (server/routes.go, llm/status.go). A status
alone says little: Ollama answers 500 to a wrong option, and 200 to a stream that will fail.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from orac_core import (
    BackendError,
    BackendUnavailable,
    InsufficientMemory,
    InvalidRequest,
    OracError,
    QueueFull,
)

from .._http import Reply
from .._refusal import TOO_LONG, refused

_TOLD = 1000
_BUSY_S = 2.0
_NO_MEMORY = (
    "out of memory",
    "out of device memory",
    "cudamalloc failed",
    "failed to allocate",
    "allocation failed",
    "not enough memory",
    "insufficient memory",
    "requires more system memory",
    "signal: killed",  # by the kernel, when memory runs out
)
_REQUEST = (
    "must be of type",
    "invalid format:",
    "does not support",
    *TOO_LONG,
)
_RUNNER_DIED = (
    "an error was encountered while running the model",
    "llama runner process no longer running",
    "llama-server process has terminated",
    "llama runner process has terminated",
    "model runner has unexpectedly stopped",
)
_TOO_NEW = ("may be incompatible with your version of ollama", "requires a newer version of ollama")
_DISK_FULL = "no space left on device"
_SIZES = re.compile(
    r"more system memory \(([\d.]+) ([KMGT]i?B)\) than is available \(([\d.]+) ([KMGT]i?B)\)"
)
_FORBIDDEN = 403
_REDIRECTS = (301, 302, 303, 307, 308)
_BUSY = (429, 503)
_BY_STATUS: Mapping[int, Callable[[str], OracError]] = {
    400: InvalidRequest,
    404: BackendUnavailable,  # a model that was deleted meanwhile: whoever believed in it asks anew
    413: InvalidRequest,
    422: InvalidRequest,
    499: BackendUnavailable,
    502: BackendUnavailable,
    504: BackendUnavailable,
}
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def refusal(reply: Reply) -> OracError:
    """Return the error that a reply with a status of failure stands for."""
    return error_of(reply.server, reply.status, _text(reply.body))


def line_error(server: str, line: Mapping[str, Any]) -> OracError | None:
    """Return the error that a line of a stream reports, if it does."""
    told = line.get("error")
    if told is None:
        return None
    status = line.get("status")
    return error_of(server, status if isinstance(status, int) else 500, _inner(told))


def error_of(server: str, status: int, text: str) -> OracError:
    """Return the error that *status* and *text* stand for."""
    told, low = f"{server}: {text}", text.lower()
    if any(sign in low for sign in _NO_MEMORY):
        return _no_memory(told, text)
    if any(sign in low for sign in _RUNNER_DIED):
        return BackendUnavailable(f"{told}; the process that runs the model died, ask again")
    if any(sign in low for sign in _TOO_NEW):
        return BackendError(f"{told}; update Ollama")
    if _DISK_FULL in low:
        return BackendError(f"{told}; free some disk where Ollama keeps its models")
    if any(sign in low for sign in _REQUEST):
        return refused(told)
    return _by_status(status, server, told, text)


def _by_status(status: int, server: str, told: str, text: str) -> OracError:
    if status == _FORBIDDEN and not text:
        return BackendError(
            f"{server} refuses the name it is called by (an empty 403): an Ollama that listens on "
            "loopback only answers to local names. Where it runs in another container or on "
            "another machine, start it with OLLAMA_HOST=0.0.0.0, or use its IP address",
        )
    if status in _REDIRECTS:
        return BackendError(
            f"{server} answered {status}, a redirect, which ORAC never follows; "
            "correct `url` so that it names the server itself",
        )
    if status in _BUSY:
        return QueueFull(f"{told}; ask again in a moment", _BUSY_S)
    if not text:
        told = f"{server} answered {status} without a reason"
    return _BY_STATUS.get(status, BackendError)(told)


def _no_memory(told: str, text: str) -> InsufficientMemory:
    needed = available = None
    if found := _SIZES.search(text):
        needed, available = _bytes(*found.group(1, 2)), _bytes(*found.group(3, 4))
    return InsufficientMemory(
        f"{told}; unload another model, or ask for a smaller context_length",
        needed_bytes=needed,
        available_bytes=available,
    )


def _bytes(number: str, unit: str) -> int:
    return int(float(number) * _UNITS[unit[0]])


def _text(body: bytes) -> str:
    """Return the reason in a body, whichever of the usual shapes it has."""
    try:
        told = orjson.loads(body)
    except ValueError:
        text = body.decode(errors="replace").strip()
        return "it answered with a web page" if text.startswith("<") else text[:_TOLD]
    return _inner(told.get("error", told) if isinstance(told, dict) else told)


def _inner(told: object) -> str:
    """Return the text of an error; its engine's own error may be wrapped in it as JSON."""
    if isinstance(told, str) and told.startswith("{"):
        try:
            told = orjson.loads(told)
        except ValueError:
            return str(told)[:_TOLD]
    if isinstance(told, dict):
        told = told.get("error", told)
        told = told.get("message", told) if isinstance(told, dict) else told
    return str(told)[:_TOLD]
