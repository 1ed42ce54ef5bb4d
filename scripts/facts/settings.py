"""What a manifest may say: its tables, and the settings of each kind of backend."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from attrs import NOTHING, Attribute, Factory, fields

from orac_backends.python import PythonModel
from orac_backends.ray import RayModel
from orac_core import GenerateOptions, Plugins
from orac_core.manifest import (
    AdapterSettings,
    BenchmarkSettings,
    FileSettings,
    Manifest,
    ModelsSettings,
    Profile,
    RoleSettings,
    ServerSettings,
)
from orac_core.manifest.settings import Common

from .docstrings import attributes
from .limits import between, number
from .markdown import code, table

TABLES: Mapping[str, type] = MappingProxyType(
    {
        "manifest": Manifest,
        "server": ServerSettings,
        "models": ModelsSettings,
        "models.files": FileSettings,
        "benchmark": BenchmarkSettings,
        "backends": Common,
        "profiles": Profile,
        "role": RoleSettings,
        "adapter": AdapterSettings,
        "parameters": GenerateOptions,
        "kind python, a model": PythonModel,
        "kind ray, a model": RayModel,
    }
)
WORDS: Mapping[Any, str] = MappingProxyType(
    {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", Path: "path"}
)
HEADS = ("key", "type", "default", "meaning")


def sections() -> dict[str, str]:
    """Return a table for each table of the manifest, and for each kind of backend there is."""
    kinds = {f"kind {name}": it.settings for name, it in Plugins.discover().kinds.items()}
    return {name: of(cls) for name, cls in {**TABLES, **kinds}.items()}


def of(cls: type) -> str:
    """Return the table of the settings in *cls*; one that is always refused is not in it."""
    known, types = attributes(cls), get_type_hints(cls)
    shown = [each for each in fields(cls) if not known[each.name].startswith("Not to be given")]
    return table(
        HEADS,
        [(code(it.name), kind(types[it.name], it), default(it), known[it.name]) for it in shown],
    )


def kind(annotation: Any, attribute: "Attribute[Any]") -> str:
    """Return what a value has to be, in words."""
    found = dict(bounds(attribute.validator))
    if "in" in found:
        return " or ".join(code(f'"{each}"') for each in found["in"])
    least, above = found.get(">="), found.get(">")
    limits = between(above if least is None else least, found.get("<="), above=above is not None)
    return ", ".join(filter(None, (words(annotation), limits)))


def words(annotation: Any) -> str:
    """Return a type in words."""
    origin, within = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(words(each) for each in within if each is not NoneType)
    if origin is Literal:
        return " or ".join(code(f'"{each}"') for each in within)
    if origin is tuple:
        return f"list of {words(within[0])}s"
    return WORDS.get(annotation, "table")


def bounds(validator: Any) -> Iterator[tuple[str, Any]]:
    """Yield what the validators of attrs hold a value to, by how it is compared with that."""
    if validator is None:
        return
    for each in (getattr(validator, "validator", None), *getattr(validator, "_validators", ())):
        yield from bounds(each)
    if hasattr(validator, "compare_op"):
        yield validator.compare_op, validator.bound
    elif hasattr(validator, "options"):
        yield "in", validator.options


def default(attribute: "Attribute[Any]") -> str:
    """Return a default as TOML has it; nothing where it is told in words."""
    value = attribute.default
    if value is NOTHING:
        return "has to be there"
    if value is None or value == () or isinstance(value, Factory):  # type: ignore[arg-type]
        return ""
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, tuple):
        return code(f"[{', '.join(map(_in_toml, value))}]")
    return code(_in_toml(value))


def _in_toml(value: str | float) -> str:
    return f'"{value}"' if isinstance(value, str) else number(value)
