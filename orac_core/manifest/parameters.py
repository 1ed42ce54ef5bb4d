"""Parameters of a role, or of all models, under the names that ORAC or Ollama has for them."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from attrs import fields
from cattrs.errors import AttributeValidationNote, ClassValidationError

from ..conversation import GenerateOptions
from ..ranges import option_problems

OTHER_NAMES: Mapping[str, str] = MappingProxyType({"num_predict": "max_tokens"})
"""What Ollama calls a parameter, and what ORAC does."""

ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "num_ctx": 'write `context_length` in [models.files."NAME"]; it belongs to the load',
        "num_gpu": "write `gpu_layers` in [backends.NAME]; it belongs to the load",
        "num_thread": "write `threads` in [backends.NAME], for llama.cpp; it belongs to the load",
        "keep_alive": 'write `keep_alive` in [models.files."NAME"]; it belongs to the model',
    }
)
"""What Ollama takes as a parameter and ORAC somewhere else."""

ENDLESS = frozenset({-1, -2})
"""Of ``num_predict``: as long as there is room, which is what holds without any limit."""


def parameters(table: Mapping[str, Any], structure: Callable[[Any, Any], Any]) -> GenerateOptions:
    """Return the parameters that a *table* of a manifest names.

    Args:
        table: Names and values, of ORAC or of Ollama.
        structure: Makes `GenerateOptions` of plain values.

    Raises:
        ClassValidationError: holding every mistake.
    """
    found = _renamed(table)
    options, untyped = _structured(found, structure)
    wrong = [
        *_misplaced(table),
        *(_called(error, table) for error in untyped),
        *(mistake(_name(it, table), why) for it, why in option_problems(options).items()),
    ]
    if wrong:
        raise ClassValidationError("parameters", wrong, GenerateOptions)
    return options


def _structured(
    found: Mapping[str, Any], structure: Callable[[Any, Any], Any]
) -> tuple[GenerateOptions, tuple[Exception, ...]]:
    """Return the parameters of the right type, and the mistakes in the others."""
    try:
        return structure(found, GenerateOptions), ()
    except ClassValidationError as error:
        failed = {note.name for _, note in error.group_exceptions()[0]}
        known = {each.name for each in fields(GenerateOptions)} - failed
        sound = {name: value for name, value in found.items() if name in known}
        return structure(sound, GenerateOptions), error.exceptions


def _called(error: Exception, table: Mapping[str, Any]) -> Exception:
    """Return *error* at the name that the *table* uses."""
    for note in getattr(error, "__notes__", ()):
        name = str(getattr(note, "name", ""))
        if name in OTHER_NAMES.values() and name not in table:
            return mistake(_name(name, table), str(error))
    return error


def _misplaced(table: Mapping[str, Any]) -> Iterator[Exception]:
    for name, instead in ELSEWHERE.items():
        if name in table:
            yield mistake(name, instead)
    for theirs, ours in OTHER_NAMES.items():
        if theirs in table and ours in table:
            yield mistake(theirs, f"is another name of `{ours}`, which is there too; leave one out")


def _renamed(table: Mapping[str, Any]) -> dict[str, Any]:
    found = {OTHER_NAMES.get(name, name): table[name] for name in table if name not in ELSEWHERE}
    if _is_endless(table.get("num_predict")):
        del found["max_tokens"]
    if isinstance(found.get("stop"), str):
        found["stop"] = [found["stop"]]
    return found


def _is_endless(value: object) -> bool:
    return type(value) is int and value in ENDLESS


def _name(ours: str, table: Mapping[str, Any]) -> str:
    """Return what the *table* itself calls a parameter of ORAC."""
    others = (theirs for theirs, name in OTHER_NAMES.items() if name == ours and theirs in table)
    return ours if ours in table else next(others, ours)


def mistake(name: str, why: str) -> Exception:
    """Return what is wrong at a key of a table, as a part of a `ClassValidationError`."""
    found = ValueError(why)
    found.add_note(AttributeValidationNote(why, name, None))
    return found
