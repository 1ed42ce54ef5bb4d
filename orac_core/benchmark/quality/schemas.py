"""JSON schemas and patterns of task authors, in time that grows with the text and no faster.

The engine of patterns is Rust's ``regex``: it never goes back, so that no pattern is catastrophic,
and for that it has neither look-around nor back references.
"""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs
from attrs import Attribute

_LINEAR = jsonschema_rs.RegexOptions(size_limit=1024 * 1024)

_MOST_SHOWN = 200  # characters of what a library says


def fault(schema: Mapping[str, Any], value: Any) -> str | None:
    """Return what *schema* (Draft 2020-12, formats checked) has against *value*; None for nothing.

    Raises:
        ValueError: The schema is none, or a pattern in it is not one that can be run safely.
    """
    error = next(_validator(schema).iter_errors(value), None)
    if error is None:
        return None
    where = "/".join(map(str, error.instance_path)) or "the whole"
    return f"{where}: {_first_line(error.message)}"


def matches(pattern: str, text: str) -> bool:
    """Whether all of *text* matches *pattern*.

    Raises:
        ValueError: It is no pattern, or none that can be run safely.
    """
    _validator({"pattern": pattern})
    whole = _validator({"pattern": rf"\A(?:{pattern})\z"})
    try:
        return bool(whole.is_valid(text))
    except UnicodeEncodeError:  # half a surrogate pair, which is no text
        return False


def a_schema(_: object, attribute: "Attribute[Any]", value: Mapping[str, Any]) -> None:
    """Refuse, as a validator of attrs, what is no JSON schema."""
    try:
        _validator(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from error


def a_pattern(_: object, attribute: "Attribute[Any]", value: str) -> None:
    """Refuse, as a validator of attrs, what is no pattern."""
    try:
        matches(value, "")
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from error


def _validator(schema: Mapping[str, Any]) -> Any:
    try:
        return jsonschema_rs.Draft202012Validator(
            dict(schema), validate_formats=True, retriever=_refuse, pattern_options=_LINEAR
        )
    except ValueError as error:
        raise ValueError(
            f"not a usable JSON schema or pattern: {_first_line(str(error))} (patterns may be "
            "neither large nor have look-around or back references)"
        ) from error


def _refuse(uri: str) -> Any:
    raise ValueError(f"a schema may not refer to {uri[:100]}: write it out in full")


def _first_line(text: str) -> str:
    return text.splitlines()[0][:_MOST_SHOWN] if text else "no reason given"
