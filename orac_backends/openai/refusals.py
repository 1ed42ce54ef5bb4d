"""What an error of a server means: from its status and words to an error of ORAC's. Pure.

Codes and types are those of OpenAI (https://platform.openai.com/docs/guides/error-codes), of ORAC,
and of the servers that follow them.
"""

import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
from attrs import frozen

from orac_core import BackendError, BackendUnavailable, OracError, QueueFull, StateConflict

from .._http import Reply
from .._refusal import Refusals, message, refused
from . import fellow

_BUSY_S = 2.0
_STATUS = re.compile(r"[0-9]{3}")
_REDIRECTS = range(300, 400)
_NO_KEY = (401, 403)
_UNPAID, _NO_METHOD, _BUSY = 402, 405, 429
_CODES = {
    "context_length_exceeded": 400,
    "invalid_request_error": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "insufficient_quota": 402,
    "permission_error": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "queue_full": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "backend_unavailable": 503,
    "insufficient_memory": 503,
    "overloaded_error": 503,
    "shutting_down": 503,
    "unavailable_error": 503,
    "deadline_exceeded": 504,
}
_TOO_LONG = "context_length_exceeded"
_PASSING = (QueueFull, BackendUnavailable, StateConflict)
_NO_CREDIT = ("insufficient_quota", "billing")


@frozen
class ServerRefusals(Refusals):
    """What the refusals of any server mean that speaks OpenAI's API."""

    def of_reply(self, reply: Reply) -> OracError:
        """Return the error that a reply stands for, with when to ask again."""
        if reply.status in _REDIRECTS:
            return BackendError(
                f"{self.server} answered {reply.status}, a redirect, which ORAC never follows; "
                "correct `url` so that it names the server itself",
            )
        error = self._of_fellow(reply) or super().of_reply(reply)
        return again(error, retry_after_s(reply.headers))

    def of_frame(self, error: object, model: str = "") -> OracError:
        """Return the error for an error object, in the middle of an answer or of a load.

        Args:
            error: The object.
            model: Name of the model here, where one was to be loaded.
        """
        told = f"{self.server}: {message(error)}"
        found = fellow.refusal(error, told, model) or self.of(_code(error), message(error))
        return again(found, fellow.wait_s(error))

    def _of_fellow(self, reply: Reply) -> OracError | None:
        """Return the error that only another ORAC tells."""
        error = envelope(reply.body)
        return fellow.refusal(error, f"{self.server}: {message(error)}") if error else None

    def of(self, code: int | None, text: str) -> OracError:
        """Return the error for a status, or for what a code or type of an error object means."""
        told = f"{self.server}: {text if not text.lstrip().startswith('<') else 'a web page'}"
        if code == _UNPAID or (code == _BUSY and any(it in text.lower() for it in _NO_CREDIT)):
            return BackendError(f"{told}; the account has no credit left")
        if code == _BUSY:
            return QueueFull(f"{told}; ask again in a moment", _BUSY_S)
        if code == _NO_METHOD:
            return BackendError(f"{told}; is `url` what OpenAI's clients call base_url?")
        if code in _NO_KEY:
            return BackendError(f"{told}; check the key that key_file, or key_env, names")
        if _TOO_LONG in text:
            return refused(told)
        return super().of(code, text)


def again(error: OracError, wait_s: float | None) -> OracError:
    """Return *error* with when to ask again, where that is told and may help."""
    if wait_s is not None and isinstance(error, _PASSING):
        error.retry_after_s = wait_s
    return error


def envelope(body: bytes) -> Mapping[str, Any] | None:
    """Return the error object of an answer; None where there is none."""
    try:
        told = orjson.loads(body)
    except ValueError:
        return None
    error = told.get("error") if isinstance(told, Mapping) else None
    return error if isinstance(error, Mapping) else None


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return how long a server wants to be left alone, at most an hour; None when it is silent."""
    told = headers.get("retry-after", "")
    try:
        wait_s = float(told)
    except ValueError:
        wait_s = _until(told)
    return min(wait_s, fellow.LONGEST_S) if math.isfinite(wait_s) and wait_s > 0 else None


def _until(told: str) -> float:
    try:
        return parsedate_to_datetime(told).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return math.nan


def _code(error: object) -> int | None:
    """Return the status that an error object stands for."""
    if not isinstance(error, Mapping):
        return None
    code = error.get("code")
    if isinstance(code, int) or (isinstance(code, str) and _STATUS.fullmatch(code)):
        return int(code)
    return _CODES.get(str(code)) or _CODES.get(str(error.get("type")))
