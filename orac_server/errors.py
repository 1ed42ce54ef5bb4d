"""From an error to the status and the body that tell it."""

import math
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import structlog
from aiohttp import web
from attrs import frozen
from structlog.contextvars import get_contextvars

from orac_core import (
    BackendError,
    BackendUnavailable,
    BenchmarkNotFound,
    DeadlineExceeded,
    InsufficientMemory,
    InvalidRequest,
    ModelFileInvalid,
    ModelNotFound,
    PluginError,
    PromptTooLong,
    QueueFull,
    RoleNotFound,
    ShuttingDown,
    StateConflict,
    TooManyStreams,
)

from .observing import passage
from .wire import details

logger = structlog.get_logger("orac.server")

CLIENT, LIMIT, SERVER = "invalid_request_error", "rate_limit_error", "server_error"


@frozen
class Rule:
    """How a class of errors is told: the status, and ``type`` and ``code`` of the envelope."""

    status: int
    type: str
    code: str


RULES: Mapping[type[Exception], Rule] = MappingProxyType(
    {
        InvalidRequest: Rule(400, CLIENT, "invalid_request"),
        PromptTooLong: Rule(400, CLIENT, "context_length_exceeded"),
        ModelNotFound: Rule(404, CLIENT, "model_not_found"),
        RoleNotFound: Rule(404, CLIENT, "role_not_found"),
        BenchmarkNotFound: Rule(404, CLIENT, "benchmark_not_found"),
        StateConflict: Rule(409, CLIENT, "state_conflict"),
        ModelFileInvalid: Rule(422, CLIENT, "model_file_invalid"),
        QueueFull: Rule(429, LIMIT, "queue_full"),
        TooManyStreams: Rule(429, LIMIT, "too_many_streams"),
        BackendError: Rule(502, SERVER, "backend_error"),
        PluginError: Rule(502, SERVER, "backend_error"),
        BackendUnavailable: Rule(503, SERVER, "backend_unavailable"),
        InsufficientMemory: Rule(503, SERVER, "insufficient_memory"),
        ShuttingDown: Rule(503, SERVER, "shutting_down"),
        DeadlineExceeded: Rule(504, SERVER, "deadline_exceeded"),
    },
)
"""The errors of the library. The nearest class in an error's ancestry counts."""

INTERNAL = Rule(500, SERVER, "internal_error")

CODES: Mapping[int, str] = MappingProxyType(
    {
        404: "not_found",
        405: "method_not_allowed",
        408: "request_timeout",
        413: "body_too_large",
        415: "unsupported_media_type",
        417: "expectation_failed",
    },
)
"""``code`` for the statuses of HTTP itself; any other is ``bad_request``."""


@frozen
class Problem:
    """An error as it is told.

    Attributes:
        status: The status, when nothing has been sent yet.
        body: The envelope.
        headers: What goes with the status.
    """

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]


def told(error: Exception, request: web.BaseRequest) -> Problem:
    """Return how *error* is told; one that nobody expected is logged, and only its id is told."""
    rule = next((RULES[cls] for cls in type(error).__mro__ if cls in RULES), INTERNAL)
    passage.failed(rule.code)
    if rule is INTERNAL:
        return _unexpected(error, request)
    faults = error.details if isinstance(error, InvalidRequest) else {}
    body = envelope(rule, str(error), faults, param=_param(error, faults))
    body["error"] |= (figures := _figures(error))
    return Problem(rule.status, body, _retry_after(figures))


def told_http(error: web.HTTPException, request: web.BaseRequest) -> Problem:
    """Return how an error of HTTP itself is told."""
    code = CODES.get(error.status, "bad_request")
    passage.failed(code)
    allow = error.headers.get("Allow")
    rule = Rule(error.status, CLIENT, code)
    body = envelope(rule, _http_message(error, request, allow))
    return Problem(error.status, body, {"Allow": allow} if allow else {})


def envelope(
    rule: Rule, message: str, faults: Mapping[str, str] | None = None, *, param: str | None = None
) -> dict[str, Any]:
    """Return the body of an error."""
    error = {"message": message, "type": rule.type, "param": param, "code": rule.code}
    return {"error": error | ({"details": details(faults)} if faults else {})}


def _unexpected(error: Exception, request: web.BaseRequest) -> Problem:
    id_ = get_contextvars().get("request_id")
    logger.error("unexpected error", path=request.path, exc_info=error)
    message = f"an internal error, which is none of yours; the log tells more of request {id_}"
    return Problem(INTERNAL.status, envelope(INTERNAL, message), {})


def _param(error: Exception, faults: Mapping[str, str]) -> str | None:
    if isinstance(error, ModelNotFound):
        return "model"
    if isinstance(error, RoleNotFound):
        return "roles"
    return next(iter(faults), None) or None


def _figures(error: Exception) -> dict[str, int]:
    """Return the numbers of an error that are known; a stream has no header to tell them in."""
    told: dict[str, float | None] = {"retry_after_s": getattr(error, "retry_after_s", None)}
    if isinstance(error, InsufficientMemory):
        told |= {"needed_bytes": error.needed_bytes, "available_bytes": error.available_bytes}
    return {name: math.ceil(value) for name, value in told.items() if value is not None}


def _retry_after(figures: Mapping[str, int]) -> dict[str, str]:
    seconds = figures.get("retry_after_s")
    return {} if seconds is None else {"Retry-After": str(seconds)}


def _http_message(error: web.HTTPException, request: web.BaseRequest, allow: str | None) -> str:
    match error.status:
        case HTTPStatus.NOT_FOUND:
            return "there is nothing at this address; GET /v1/models lists the models"
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return f"{request.method[:20]} is not possible here; possible are: {allow}"
        case _:
            return error.text or error.reason
