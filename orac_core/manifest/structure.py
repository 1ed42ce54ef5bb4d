"""From plain data, as TOML and JSON have it, to values: no wrong type, no unknown key."""

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

from attrs import fields, has
from cattrs import Converter, transform_error
from cattrs.cols import (
    homogenous_tuple_structure_factory,
    is_mapping,
    mapping_structure_factory,
)
from cattrs.errors import BaseValidationError, ClassValidationError, ForbiddenExtraKeysError

from ..conversation import GenerateOptions
from ..errors import ConfigurationError
from .checks import mistakes_of, table
from .faults import complete
from .parameters import mistake, parameters
from .roles import Profile, RoleSettings
from .settings import BackendEntry, Common

_UNKNOWN = RoleSettings("\0")
"""Stands for a role whose settings are wrong: no fallback has its name."""


def structure(data: object, cls: type[Any], source: str, at: str = "") -> Any:
    """Turn plain *data* into the attrs class *cls*, accepting no wrong type and no unknown key.

    Raises:
        ConfigurationError: naming every mistake with its place, which starts with *at*.
    """
    try:
        return _converter().structure(data, cls)
    except (BaseValidationError, ValueError, TypeError) as error:
        found = transform_error(error, path=at or "$", format_exception=_sentence)
        problems = tuple(_as_in_toml(problem) for problem in found)
        raise refusal(source, problems) from error


def refusal(source: str, problems: tuple[str, ...]) -> ConfigurationError:
    """Return the error for some mistakes in *source*."""
    count = len(problems)
    return ConfigurationError(f"{source}: {count} mistake{'s' * (count > 1)}", problems)


@cache
def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _exactly)
    for union in (str | float, str | float | None):
        converter.register_structure_hook(union, _text_or_number)
    converter.register_structure_hook(float, lambda value, _: float(_exactly(value, int | float)))
    converter.register_structure_hook(Path, lambda value, _: Path(_exactly(value, str)))
    _demand(converter, has, dict, lambda cls: _whole(cls, converter))
    _demand(converter, is_mapping, dict, lambda cls: mapping_structure_factory(cls, converter))
    _demand(
        converter, _is_tuple, list, lambda cls: homogenous_tuple_structure_factory(cls, converter)
    )
    converter.register_structure_hook(
        BackendEntry, lambda value, _: _backend_entry(value, converter)
    )
    _look_closely(converter)
    return converter


def _look_closely(converter: Converter) -> None:
    """Make *converter* take the short forms there are, and see what only several keys show."""
    options = converter.get_structure_hook(GenerateOptions)
    converter.register_structure_hook(
        GenerateOptions, lambda value, _: parameters(_exactly(value, dict), options)
    )
    by_keys = converter.get_structure_hook(RoleSettings)
    converter.register_structure_hook(
        RoleSettings,
        lambda value, cls: RoleSettings(value) if isinstance(value, str) else by_keys(value, cls),
    )
    make = converter.get_structure_hook(Profile)
    converter.register_structure_hook(
        Profile, lambda value, cls: _profile(value, lambda: make(value, cls), converter)
    )


def _demand(
    converter: Converter,
    belongs: Callable[[Any], bool],
    shape: type,
    structures: Callable[[Any], Callable[[Any, Any], Any]],
) -> None:
    """Make *converter* refuse data of another *shape* for the classes that belong here."""

    def factory(cls: Any) -> Callable[[Any, Any], Any]:
        structure_it = structures(cls)
        return lambda value, cls: structure_it(_exactly(value, shape), cls)

    converter.register_structure_hook_factory(belongs)(factory)


def _whole(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    """Return what makes a class of a table, and tells all that is wrong with the table."""
    make = converter.gen_structure_attrs_fromdict(cls)

    def made(value: Any, kind: Any) -> Any:
        try:
            return make(value, kind)
        except ClassValidationError as error:
            raise complete(error, value, cls, converter) from error

    return made


def _is_tuple(cls: Any) -> bool:
    return get_origin(cls) is tuple


def _exactly(value: Any, cls: Any) -> Any:
    if not isinstance(value, cls) or (isinstance(value, bool) and cls is not bool):
        raise TypeError(f"must be {_shown(cls)}, not {type(value).__name__}")
    return value


def _text_or_number(value: Any, cls: Any) -> Any:
    if value is None and type(None) in get_args(cls):
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"must be text or a number, not {type(value).__name__}")
    return value


def _backend_entry(value: Any, converter: Converter) -> BackendEntry:
    table = dict(_exactly(value, dict))
    if "kind" not in table:
        raise ValueError("lacks the key `kind`, such as kind = 'llamacpp'")
    names = [each.name for each in fields(Common) if each.name in table]
    common = converter.structure({name: table.pop(name) for name in names}, Common)
    return BackendEntry(common.kind, table, common.required)


def _profile(value: Any, make: Callable[[], Profile], converter: Converter) -> Profile:
    """Return a profile whose tables go together."""
    wrong: list[Exception] = []
    try:
        profile = make()
    except ClassValidationError as error:
        wrong += error.exceptions
        profile = _as_far_as_sound(value, converter)
    wrong += [mistake(f"{table}[{role!r}]", why) for table, role, why in mistakes_of(profile)]
    if wrong:
        raise ClassValidationError("profile", wrong, Profile)
    return profile


def _as_far_as_sound(value: Mapping[str, Any], converter: Converter) -> Profile:
    """Return a profile without what is wrong in it; of a role that is wrong its name stays."""
    models, fallbacks = table(value, "models"), table(value, "fallbacks")
    roles = {role: _tried(converter, said, RoleSettings) for role, said in models.items()}
    others = {role: _tried(converter, said, tuple[str, ...]) for role, said in fallbacks.items()}
    return Profile(
        {role: found or _UNKNOWN for role, found in roles.items()},
        {role: found for role, found in others.items() if found},
    )


def _tried(converter: Converter, value: Any, cls: Any) -> Any:
    try:
        return converter.structure(value, cls)
    except (BaseValidationError, ValueError, TypeError):
        return None


def _shown(cls: Any) -> str:
    names = {
        str: "text",
        int: "a whole number",
        bool: "true or false",
        dict: "a table",
        list: "a list",
    }
    return names.get(cls, "a number")


def _as_in_toml(problem: str) -> str:
    """Return *problem* with its place written as the manifest would write it."""
    what, _, where = problem.rpartition(" @ ")
    where = re.sub(r"\['([A-Za-z0-9_-]+)'\]", r".\1", where)
    where = re.sub(r"\['([^']*)'\]", r'."\1"', where)
    return f"{what} @ {where.removeprefix('$').removeprefix('.') or 'top'}"


def _sentence(error: BaseException, _: type | None) -> str:
    match error:
        case ForbiddenExtraKeysError():
            fields = ", ".join(f'"{name}"' for name in sorted(error.extra_fields))
            return f"extra field {fields}"
        case KeyError():
            return f'lacks "{error.args[0]}"'
        case _:
            return str(error) or type(error).__name__
