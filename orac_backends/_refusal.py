"""What it means that an engine refuses a request. Pure."""

from collections.abc import Mapping
from typing import Any

import orjson
from attrs import frozen

from orac_core import BackendError, BackendUnavailable, InvalidRequest, OracError, PromptTooLong

from ._http import Reply

TOO_LONG = (
    "exceeds the available context size",
    "exceeds the context length",
    "maximum context length",
)
"""What engines say of a prompt that does not fit into the context."""

_TOLD_REASONS = 1000


def refused(told: str) -> InvalidRequest:
    """Return the error for a request that an engine refuses, by what it says."""
    too_long = any(sign in told.lower() for sign in TOO_LONG)
    return PromptTooLong(told) if too_long else InvalidRequest(told)


@frozen
class Refusals:
    """What the refusals of a server mean that speaks OpenAI's API.

    Attributes:
        server: What it is called in messages.
    """

    server: str

    def of_reply(self, reply: Reply) -> OracError:
        """Return the error that a reply with another status than 200 stands for."""
        try:
            told = orjson.loads(reply.body)
        except ValueError:
            told = reply.body.decode(errors="replace")
        return self.of(reply.status, message(told))

    def of_frame(self, error: object) -> OracError:
        """Return the error for an error object, as it may come in the middle of an answer."""
        code = error.get("code") if isinstance(error, dict) else None
        return self.of(code if isinstance(code, int) else None, message(error))

    def of(self, code: int | None, text: str) -> OracError:
        """Return the error for an HTTP status, or for the code inside an error object."""
        told = f"{self.server}: {text}"
        match code:
            case 400 | 413 | 414 | 422:
                return refused(told)
            case 401 | 403:
                return BackendError(f"{told}; check the key in the settings")
            case 404 | 408 | 429 | 502 | 503 | 504:
                return BackendUnavailable(told)
            case _:
                return BackendError(told)


def message(told: Any) -> str:
    """Return what an error says, whichever of the usual shapes it has."""
    error = told.get("error", told) if isinstance(told, Mapping) else told
    text = error.get("message", error) if isinstance(error, Mapping) else error
    return str(text)[:_TOLD_REASONS] or "no reason given"
