"""Every mistake in a table at once, where its class would tell the first of them alone (pure)."""

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import Attribute, fields
from cattrs import Converter
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ClassValidationError,
    ForbiddenExtraKeysError,
)

from ..errors import OracError
from .parameters import mistake


def complete(
    error: ClassValidationError, table: Mapping[str, Any], cls: type[Any], converter: Converter
) -> ClassValidationError:
    """Return *error* with what the validators of *cls* refuse in *table*, each at its key.

    A class is made, and validated, only when each of its values is of the right type, and its
    making ends with the first value that is refused.
    """
    refused = [it for each in fields(cls) for it in _refused(each, table, converter)]
    if not refused:
        return error
    told = [each for each in error.exceptions if _has_a_place(each)]
    return ClassValidationError(error.message, [*told, *refused], cls)


def _refused(
    attribute: "Attribute[Any]", table: Mapping[str, Any], converter: Converter
) -> Iterator[Exception]:
    name = attribute.name
    if attribute.validator is None or name not in table:
        return
    try:
        value = converter.structure(table[name], attribute.type)  # type: ignore[arg-type]
    except (BaseValidationError, ValueError, TypeError):
        return  # told already
    try:
        attribute.validator(None, attribute, value)
    except (ValueError, TypeError, OracError) as error:
        yield mistake(name, str(error))


def _has_a_place(error: BaseException) -> bool:
    notes = getattr(error, "__notes__", ())
    placed = any(isinstance(each, AttributeValidationNote) for each in notes)
    return placed or isinstance(error, ForbiddenExtraKeysError)
