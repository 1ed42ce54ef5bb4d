"""The interface, described by itself: OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1)."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from ..endpoint import Endpoint
from ..errors import Rule
from ..wire import Json
from . import refusals
from .answers import Error
from .components import answers, bodies, reference
from .operation import Body, Operation
from .operations import OPERATIONS

JSON, STREAM = "application/json", "text/event-stream"

VARIABLE = re.compile(r"\{(\w+)(:[^{}]*)?\}")
"""A part of a path that varies, with the expression that aiohttp matches it by."""

DESCRIPTION = """\
One service in front of every local LLM engine on a machine.

A unit stands in the name of every number; times are ISO 8601 in UTC; what is not known is `null`, \
never 0. A key that is not known is refused, so that a typo does not pass silently; only where \
OpenAI's clients ask it is left aside.

Every error has the same form, also 404 `not_found` at any other address and 405 \
`method_not_allowed`, with `Allow`, for any other method. A GET answers HEAD, too.

Where the service listens on a loopback address no token is needed, unless it was given some. The \
scope of an operation says which token it takes; that of an administrator is good for all."""

INFO = {
    "description": DESCRIPTION,
    "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
}

ID_NOTE = (
    "It may hold `/` and `:`, raw or percent-encoded: everything between what stands before and "
    "behind it in the path."
)

SCHEMES = {
    "bearerAuth": {"type": "http", "scheme": "bearer", "description": "A token."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "The same."},
}

TAGS = {
    "models": "What there is, and what is in memory.",
    "prompts": "Answers.",
    "benchmarks": "How fast and how good models are.",
    "doctor": "Why a model is slow.",
    "health": "How everything is, and what happens.",
    "pages": "For people, and this document.",
}


def document(endpoints: Iterable[Endpoint]) -> Json:
    """Return the document of *endpoints*.

    Raises:
        KeyError: one of them is not described.
    """
    known = [(each, OPERATIONS[line(each)]) for each in endpoints if not each.part]
    found = [refusals.rules(*pair) for pair in known]
    return {
        "openapi": "3.1.1",
        "info": {"title": "ORAC", "version": version("orac"), **INFO},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": told} for name, told in TAGS.items()],
        "paths": _paths(known, found),
        "components": {
            "schemas": _schemas([operation for _, operation in known]),
            "responses": refusals.components(found),
            "headers": dict(refusals.HEADERS),
            "securitySchemes": SCHEMES,
        },
    }


def line(endpoint: Endpoint) -> str:
    """Return method and path of an endpoint, as `OPERATIONS` and the document have them."""
    return f"{endpoint.method} " + VARIABLE.sub(r"{\1}", endpoint.path)


def _paths(
    known: Iterable[tuple[Endpoint, Operation]], found: Iterable[Iterable[Rule]]
) -> dict[str, Json]:
    paths: dict[str, Json] = {}
    for (endpoint, operation), errors in zip(known, found, strict=True):
        method, _, path = line(endpoint).partition(" ")
        paths.setdefault(path, {})[method.lower()] = _operation(endpoint, operation, errors)
    return paths


def _operation(endpoint: Endpoint, operation: Operation, errors: Iterable[Rule]) -> Json:
    shown = _examples().get(line(endpoint), {})
    told = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": f"{operation.description}\n\nScope: {endpoint.scope}.".strip(),
        "parameters": [*_in_path(endpoint, shown), *_in_query(operation)],
        "responses": _responses(operation, shown) | refusals.responses(errors),
        "security": _security(endpoint),
    }
    if operation.body is not None:
        told["requestBody"] = _body(operation.body, shown.get("body", {}))
    return told


def _in_path(endpoint: Endpoint, shown: Json) -> Iterator[Json]:
    for name, expression in VARIABLE.findall(endpoint.path):
        found = {"name": name, "in": "path", "required": True}
        note = {"description": ID_NOTE} if expression else {}
        text = {"type": "string", "minLength": 1}
        yield {**found, **note, "schema": text, "example": shown[name]}


def _in_query(operation: Operation) -> Iterator[Json]:
    if operation.query is None:
        return
    component = bodies([operation.query])[operation.query.__name__]
    for name, found in component["properties"].items():
        told = {"description": found.pop("description")} if "description" in found else {}
        # In a query nothing is null: a parameter is there or it is not.
        yield {"name": name, "in": "query", **told, "explode": False, "schema": _not_null(found)}


def _not_null(found: Json) -> Json:
    others = [each for each in found.get("anyOf", ()) if each != {"type": "null"}]
    kept = {name: it for name, it in found.items() if name != "anyOf" and it is not None}
    return kept | (others[0] if others else {})


def _body(body: Body, shown: Json) -> Json:
    found = reference(body.type)
    media = {"schema": {"allOf": [found, dict(body.rule)]} if body.rule else found}
    examples = {name: {"value": it} for name, it in shown.items()}
    return {"required": not body.optional, "content": {JSON: {**media, "examples": examples}}}


def _responses(operation: Operation, shown: Json) -> dict[str, Json]:
    content = {**_in_json(operation, shown), **_in_other_forms(operation), **_streamed(operation)}
    found = {"200": {"description": operation.summary, **_with_id(content)}}
    for status, cls in operation.others.items():
        content = {JSON: {"schema": reference(cls)}} if cls else {}
        told = operation.summary if cls else "It is as the client knows it."
        found[str(status)] = {"description": told, **_with_id(content)}
    return found


def _with_id(content: Json) -> Json:
    name = refusals.REQUEST_ID
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"}}, "content": content}


def _in_json(operation: Operation, shown: Json) -> Json:
    if not operation.answers:
        return {}
    examples = {name: {"value": it} for name, it in shown.get("answer", {}).items()}
    schemas = [reference(each) for each in operation.answers]
    found = schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
    return {JSON: {"schema": found, **({"examples": examples} if examples else {})}}


def _in_other_forms(operation: Operation) -> Json:
    return {
        name: {"schema": {"type": "string", "description": told}}
        for name, told in operation.forms.items()
    }


def _streamed(operation: Operation) -> Json:
    """Return the stream; what its schema describes is each event of it."""
    if operation.frame is not None:
        return {STREAM: {"schema": {"oneOf": _frames(operation.frame)}}}
    if operation.events:
        events = {**operation.events, "error": Error}
        return {STREAM: {"schema": {"oneOf": [_event(*each) for each in events.items()]}}}
    return {}


def _event(name: str, cls: Any) -> Json:
    return _framed(name, {"event": {"type": "string", "const": name}, "data": _in_data(cls)})


def _frames(cls: Any) -> list[Json]:
    """Return the frames of a stream of OpenAI's, whose events have no names."""
    end = {"type": "string", "const": "[DONE]"}
    found = {"frame": _in_data(cls), "end": end, "error": _in_data(Error)}
    return [_framed(name, {"data": data}) for name, data in found.items()]


def _framed(title: str, fields: Json) -> Json:
    return {"title": title, "type": "object", "required": list(fields), "properties": fields}


def _in_data(cls: Any) -> Json:
    return {"type": "string", "contentMediaType": JSON, "contentSchema": reference(cls)}


def _security(endpoint: Endpoint) -> list[Json]:
    if endpoint.scope == "open":
        return []
    return [{}, *({name: [endpoint.scope]} for name in SCHEMES)]


def _schemas(operations: Iterable[Operation]) -> dict[str, Json]:
    known = list(operations)
    sent = bodies(each.body.type for each in known if each.body)
    got = answers([Error, *(cls for each in known for cls in each.types)])
    return dict(sorted({**sent, **got}.items()))


@cache
def _examples() -> Mapping[str, Any]:
    """Return what is shown of each endpoint: bodies, answers, parts of paths."""
    found: dict[str, Any] = json.loads(files(__package__).joinpath("examples.json").read_bytes())
    return found
