"""Does an answer satisfy the format that was asked for?"""

import json
from collections.abc import Mapping
from typing import Any, Literal

import jsonschema_rs

from ..errors import InvalidRequest

LONGEST = 300
"""Characters of what is wrong with an answer that are told."""

Format = Literal["json"] | Mapping[str, Any]


def check(wanted: Format | None) -> None:
    """Refuse a *wanted* format that no answer could be checked against.

    Raises:
        InvalidRequest: naming what is wrong with the schema.
    """
    if isinstance(wanted, Mapping):
        _validator(wanted)


def satisfies(text: str, wanted: Format) -> bool:
    """Return whether *text* is JSON and, when *wanted* is a JSON schema, valid by it."""
    return problem(text, wanted) is None


def problem(text: str, wanted: Format) -> str | None:
    """Return the first thing that is wrong with *text*; None when it satisfies *wanted*."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"it is not JSON ({error})"
    if wanted == "json":
        return None
    return next(map(_told, _validator(wanted).iter_errors(value)), None)


def _told(error: Any) -> str:
    where = ".".join(map(str, error.instance_path))
    return f"{error.message[:LONGEST]} (at {where})" if where else str(error.message[:LONGEST])


def _validator(schema: Mapping[str, Any]) -> Any:
    try:
        return jsonschema_rs.validator_for(dict(schema), retriever=_refuse)
    except ValueError as error:
        reason = str(error).splitlines()[0][:300]
        raise InvalidRequest(f"format: not a usable JSON schema: {reason}") from error


def _refuse(uri: str) -> Any:
    raise ValueError(f"a schema may not refer to {uri[:100]}: write it out in full")
