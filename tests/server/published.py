"""What the document says of a request, so that real answers are held to it."""

import json
import re
from functools import cache
from typing import Any

import jsonschema_rs

from orac_server.openapi import document
from orac_server.routes import endpoints
from orac_server.schema import DIALECT

JSON = "application/json"


@cache
def published() -> dict[str, Any]:
    return document(endpoints())


@cache
def paths() -> dict[str, re.Pattern[str]]:
    """Return what the paths match, those without a variable first."""
    known = sorted(published()["paths"], key=lambda path: "{" in path)
    return {path: re.compile(re.escape(path).replace(r"\{id\}", ".+"), re.DOTALL) for path in known}


def operation(method: str, path: str) -> dict[str, Any] | None:
    """Return what is said of a request; None when it is none of those that are described."""
    bare = path.partition("?")[0]
    for known, pattern in paths().items():
        found = published()["paths"][known].get(method.lower())
        if found is not None and pattern.fullmatch(bare):
            return found
    return None


def response(method: str, path: str, status: int) -> dict[str, Any] | None:
    """Return what is said of an answer; None of a request that is not described."""
    found = operation(method, path)
    if found is None:
        return None
    said = found["responses"].get(str(status))
    assert said is not None, f"{method} {path} answered {status}; the document has no such status"
    if "$ref" not in said:
        return said
    return published()["components"]["responses"][said["$ref"].rpartition("/")[2]]


def check(method: str, path: str, status: int, content_type: str, body: Any) -> None:
    """Hold an answer to what the document says of it."""
    said = response(method, path, status)
    if said is None or (method == "HEAD" or status == 304):
        return
    kinds = said.get("content", {})
    assert content_type in kinds, f"{method} {path}: {content_type} is not among {set(kinds)}"
    if content_type == JSON:
        conforms(body, kinds[JSON]["schema"], f"{method} {path}: {status}")


def check_taken(method: str, path: str, body: Any) -> None:
    """Hold a body that was taken to what the document says may be sent."""
    sent = (operation(method, path) or {}).get("requestBody")
    if sent is not None and body is not None:
        conforms(body, sent["content"][JSON]["schema"], f"{method} {path}: what was sent")


def check_events(method: str, path: str, events: list[tuple[str, Any]]) -> None:
    """Hold the events of a stream to what the document says of them."""
    said = response(method, path, 200) or {}
    kinds = {name: data["contentSchema"] for name, data in streamed(said).items()}
    for name, data in events:
        assert name in kinds, f"{method} {path}: no event {name!r} is described"
        conforms(data, kinds[name], f"{method} {path}: {name}")


def check_frames(method: str, path: str, frames: list[Any]) -> None:
    """Hold the frames of a stream of OpenAI's to what the document says of them."""
    kinds = streamed(response(method, path, 200) or {})
    *pieces, last = frames
    for each in pieces:
        conforms(each, kinds["frame"]["contentSchema"], f"{method} {path}: a frame")
    if last != kinds["end"]["const"]:
        conforms(last, kinds["error"]["contentSchema"], f"{method} {path}: the last frame")


def streamed(said: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of the data in each event of a stream."""
    described = said["content"]["text/event-stream"]["schema"]["oneOf"]
    return {each["title"]: each["properties"]["data"] for each in described}


def conforms(value: Any, schema: dict[str, Any], what: str) -> None:
    """Hold a value to a schema of the document."""
    error = next(iter(validator(json.dumps(schema)).iter_errors(value)), None)
    told = "the types in orac_server/openapi say otherwise"
    assert not error, f"{what}: {error.message} at {list(error.instance_path)}; {told}"


@cache
def validator(schema: str) -> Any:
    whole = {"$schema": DIALECT, **json.loads(schema), "components": published()["components"]}
    return jsonschema_rs.validator_for(whole)
