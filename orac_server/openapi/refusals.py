"""The errors that an endpoint can answer with, by status."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from itertools import groupby
from types import MappingProxyType

from orac_core import InvalidRequest, TooManyStreams

from ..access.refusals import FORBIDDEN, HOST, ORIGIN, UNAUTHORIZED
from ..endpoint import Endpoint, Scope
from ..errors import CLIENT, INTERNAL, RULES, Rule, envelope
from ..wire import Json
from .answers import Error
from .components import reference
from .operation import Operation

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "bad_request": "what came is no HTTP that can be read",
        "invalid_request": "what was asked makes no sense; `details` has every fault",
        "unauthorized": (
            "a token is needed, and none or a wrong one came, or the two headers differ"
        ),
        "forbidden": "this takes the token of an administrator, and that of a user came",
        "host_not_allowed": (
            "ORAC is not known by the name in the header `Host`; call it by its address, or add "
            "the name to `allowed_hosts`"
        ),
        "origin_not_allowed": (
            "a page of another origin asked, in a browser; add it to `allowed_origins` if it may; "
            "behind a proxy, let that pass on `Host`"
        ),
        "request_timeout": "the body did not come in time",
        "not_found": "there is nothing at this address",
        "method_not_allowed": "the address takes other methods, which `Allow` names",
        "body_too_large": "the body is larger than `max_body_bytes`",
        "unsupported_media_type": (
            "the body is no JSON by its `Content-Type`, or compressed in another way than gzip and "
            "deflate"
        ),
        "expectation_failed": "the header `Expect` asks for what can not be done",
        "internal_error": (
            "ORAC itself failed; the log tells more under the id that the message names"
        ),
        "context_length_exceeded": "the prompt does not fit into the context of the model",
        "too_many_streams": "the client has as many streams open as it may",
        "queue_full": "too many are waiting for this already",
        "backend_error": "the engine failed",
        "backend_unavailable": "the engine can not be reached, or has died",
        "insufficient_memory": "the model does not fit into the memory that is free",
        "shutting_down": "ORAC is stopping and takes no new work",
        "deadline_exceeded": "it took longer than was allowed",
        "model_not_found": "no file and no engine has a model of that name",
        "role_not_found": "the profile that holds has no role of that name",
        "benchmark_not_found": "no benchmark that is kept has that id, or more than one begins so",
        "state_conflict": "the present state does not allow this",
        "model_file_invalid": "the file of the model can not be used",
    }
)
"""What each code means."""

ALWAYS = (
    Rule(400, CLIENT, "bad_request"),
    HOST,
    ORIGIN,
    Rule(417, CLIENT, "expectation_failed"),
    INTERNAL,
)
"""What every request can be answered with."""

WITH_BODY = (
    Rule(408, CLIENT, "request_timeout"),
    Rule(413, CLIENT, "body_too_large"),
    Rule(415, CLIENT, "unsupported_media_type"),
)

BY_SCOPE: Mapping[Scope, tuple[Rule, ...]] = MappingProxyType(
    {"open": (), "user": (UNAUTHORIZED,), "admin": (UNAUTHORIZED, FORBIDDEN)}
)

REQUEST_ID, RETRY_AFTER, AUTHENTICATE = "X-Request-Id", "Retry-After", "WWW-Authenticate"

HEADERS: Mapping[str, Json] = MappingProxyType(
    {
        REQUEST_ID: {
            "description": "Tells this request from all others; the log has it, too.",
            "schema": {"type": "string"},
        },
        RETRY_AFTER: {
            "description": "Seconds after which asking again may help; left out where it does not.",
            "schema": {"type": "integer", "minimum": 0},
        },
        AUTHENTICATE: {"description": "How to send a token.", "schema": {"type": "string"}},
    }
)

RETRIED = frozenset({409, 429, 502, 503, 504})
"""Statuses with which ``Retry-After`` may come."""


def rules(endpoint: Endpoint, operation: Operation) -> list[Rule]:
    """Return every error that is possible at an endpoint."""
    found = [*ALWAYS, *BY_SCOPE[endpoint.scope], *(RULES[cls] for cls in operation.errors)]
    if operation.body is not None:
        found += WITH_BODY
    if operation.streams:
        found.append(RULES[TooManyStreams])
    if operation.body is not None or operation.query is not None:
        found.append(RULES[InvalidRequest])
    return found


def responses(found: Iterable[Rule]) -> dict[str, Json]:
    """Return what an operation says of its errors: for each status a reference."""
    return {
        str(group[0].status): {"$ref": f"#/components/responses/{_name(group)}"}
        for group in _by_status(found)
    }


def components(found: Iterable[Iterable[Rule]]) -> dict[str, Json]:
    """Return the responses that are referred to, each by its name."""
    groups = {_name(group): group for each in found for group in _by_status(each)}
    return {name: _response(group) for name, group in groups.items()}


def _by_status(found: Iterable[Rule]) -> list[list[Rule]]:
    ordered = sorted(set(found), key=lambda rule: (rule.status, rule.code))
    return [list(group) for _, group in groupby(ordered, key=lambda rule: rule.status)]


def _name(group: Sequence[Rule]) -> str:
    return ".".join([str(group[0].status), *(rule.code for rule in group)])


def _response(group: Sequence[Rule]) -> Json:
    codes = [rule.code for rule in group]
    code = {"type": "string", "enum": codes}
    narrowed = {"properties": {"error": {"properties": {"code": code}}}}
    examples = {rule.code: {"value": _example(rule)} for rule in group}
    schema = {"allOf": [reference(Error), narrowed]}
    return {
        "description": "\n".join(f"* `{each}`: {MEANINGS[each]}" for each in codes),
        "headers": _headers(group[0].status),
        "content": {"application/json": {"schema": schema, "examples": examples}},
    }


def _example(rule: Rule) -> Json:
    return envelope(rule, f"{MEANINGS[rule.code]}, and what to do")


def _headers(status: int) -> Json:
    names = [REQUEST_ID]
    names += [RETRY_AFTER] if status in RETRIED else []
    names += [AUTHENTICATE] if status == HTTPStatus.UNAUTHORIZED else []
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
