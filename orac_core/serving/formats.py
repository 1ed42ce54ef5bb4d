"""Does an answer satisfy the format that was asked for?"""

import json
from collections.abc import Mapping
from typing import Any, Literal

import jsonschema_rs

from ..errors import InvalidRequest

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
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return wanted == "json" or _validator(wanted).is_valid(value)


def _validator(schema: Mapping[str, Any]) -> Any:
    try:
        return jsonschema_rs.validator_for(dict(schema), retriever=_refuse)
    except ValueError as error:
        reason = str(error).splitlines()[0][:300]
        raise InvalidRequest(f"format: not a usable JSON schema: {reason}") from error


def _refuse(uri: str) -> Any:
    raise ValueError(f"a schema may not refer to {uri[:100]}: write it out in full")
