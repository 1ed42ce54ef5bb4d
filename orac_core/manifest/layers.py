"""What holds: the manifest over the defaults, the environment over it, options of a command on top.

Each layer is checked by itself, so that every mistake of all of them is told at once.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, field, fields, frozen

from ..errors import ConfigurationError
from .checks import mistakes, place, unknown_profile
from .environment import SECTIONS, Heard, heard
from .places import decoded
from .settings import Common
from .structure import refusal, structure
from .whole import Manifest

DEFAULT = "default"
"""Where a value comes from that nobody has set."""

NAMED = frozenset({"backends", "profiles", "models.files", "models.aliases"})
"""Tables of tables: each entry comes from somewhere by itself."""


OF_EVERY_BACKEND = frozenset(each.name for each in fields(Common))


@frozen
class Settled:
    """What holds.

    Attributes:
        manifest: All layers together.
        path: The file that was read; None without one.
        origins: Where each value that is no default comes from, by its place (``server.port``):
            the path of the file, ``environment NAME``, or an option such as ``--port``.
    """

    manifest: Manifest = field(factory=Manifest)
    path: Path | None = None
    origins: Mapping[str, str] = field(factory=dict)

    def origin(self, setting: str) -> str:
        """Return where the value of a setting comes from: ``default`` when nobody has set it."""
        return self.origins.get(setting, DEFAULT)


@frozen
class Option:
    """What an option of a command says.

    Attributes:
        value: Its value, as the manifest's class has it.
        name: How it is written: ``--port``.
    """

    value: Any
    name: str


def read(path: Path) -> Manifest:
    """Read the manifest at *path*, and nothing else.

    Raises:
        ConfigurationError: naming every mistake with its place.
    """
    return parse(decoded(path), str(path))


def parse(data: object, source: str) -> Manifest:
    """Turn decoded TOML or JSON into a Manifest; *source* names it in errors.

    Raises:
        ConfigurationError: naming every mistake with its place.
    """
    manifest, problems = _checked(data, None)
    if problems:
        raise refusal(source, problems)
    return manifest


def settled(
    path: Path | None,
    environ: Mapping[str, str],
    options: Mapping[str, Option] | None = None,
    kinds: Callable[[], Mapping[str, type[Any]]] = dict,
) -> Settled:
    """Return what holds by the manifest at *path*, the environment and the *options* of a command.

    Args:
        path: The manifest; None when there is none.
        environ: The environment.
        options: What options of a command say, by the places of the settings.
        kinds: Returns the class of the settings of each kind of backend. It is called only when
            something is wrong, for the mistakes in those.

    Raises:
        ConfigurationError: naming every mistake of the file and of the environment.
    """
    said, given = heard(environ), options or {}
    data, unread = _decoded(path)
    manifest, of_file = _checked(data, said.values.get("profile"))
    of_environment = (*said.problems, *_of_profile(data, said))
    if unread or of_file or of_environment:
        of_file = (*of_file, *_of_backends(data, kinds()))
        raise _refused(path, unread, of_file, of_environment)
    whole = over(over(manifest, said.values), {name: it.value for name, it in given.items()})
    return Settled(whole, path, dict(_origins(path, data, said, given)))


def over(manifest: Manifest, values: Mapping[str, Any]) -> Manifest:
    """Return *manifest* with other *values* for settings, by their places: ``server.port``."""
    changed: dict[str, Any] = {}
    for section in SECTIONS:
        keys = {name.partition(".")[2]: name for name in values if name.startswith(f"{section}.")}
        if keys:
            new = {key: values[name] for key, name in keys.items()}
            changed[section] = evolve(getattr(manifest, section), **new)
    if "profile" in values:
        changed["profile"] = values["profile"]
    return evolve(manifest, **changed) if changed else manifest


def _decoded(path: Path | None) -> tuple[object, ConfigurationError | None]:
    """Return what the file says; nothing, and why, when it can not be read."""
    try:
        return decoded(path) if path else {}, None
    except ConfigurationError as error:
        return {}, error


def _checked(data: object, chosen: str | None) -> tuple[Manifest, tuple[str, ...]]:
    """Return the manifest that *data* is, and the mistakes in it.

    Another layer may have *chosen* the profile.
    """
    if data == {}:
        return Manifest(), ()  # what checks a manifest takes a while to make
    unknown = None if chosen else unknown_profile(data)
    of_profile = (f"{unknown} @ profile",) if unknown else ()
    try:
        manifest: Manifest = structure(data, Manifest, "manifest")
    except ConfigurationError as error:
        return Manifest(), (*error.problems, *mistakes(data), *of_profile)
    return manifest, (*mistakes(data), *of_profile)


def _of_profile(data: object, said: Heard) -> Iterator[str]:
    """Yield what is wrong with the profile that the environment has chosen."""
    chosen = said.values.get("profile")
    if chosen and (problem := unknown_profile(data, chosen)):
        yield f"environment {said.names['profile']}: {problem}"


def _of_backends(data: object, kinds: Mapping[str, type[Any]]) -> Iterator[str]:
    """Yield what is wrong with settings that only the kind of a backend understands."""
    tables = data.get("backends") if isinstance(data, dict) else None
    for name, table in tables.items() if isinstance(tables, dict) else ():
        kind = table.get("kind") if isinstance(table, dict) else None
        if isinstance(kind, str) and kind in kinds:
            own = {key: value for key, value in table.items() if key not in OF_EVERY_BACKEND}
            try:
                structure(own, kinds[kind], "manifest", place("backends", name))
            except ConfigurationError as error:
                yield from error.problems


def _refused(
    path: Path | None,
    unread: ConfigurationError | None,
    of_file: tuple[str, ...],
    of_environment: tuple[str, ...],
) -> ConfigurationError:
    """Return one error for all mistakes; those of several layers say which has each."""
    if not of_environment:
        return unread or refusal(str(path), of_file)
    if not unread and not of_file:
        return refusal("the environment", of_environment)
    told = (str(unread),) if unread else tuple(f"{path}: {problem}" for problem in of_file)
    return refusal("what is to hold", (*told, *of_environment))


def _origins(
    path: Path | None, data: object, said: Heard, options: Mapping[str, Option]
) -> Iterator[tuple[str, str]]:
    yield from ((name, str(path)) for name in _places(data))
    yield from ((name, f"environment {variable}") for name, variable in said.names.items())
    yield from ((name, option.name) for name, option in options.items())


def _places(data: object, *above: str) -> Iterator[str]:
    """Yield the place of each setting that a manifest has."""
    for name, value in data.items() if isinstance(data, dict) else ():
        here = (*above, name)
        if isinstance(value, dict) and (not above or place(*here) in NAMED):
            yield from _places(value, *here)
        else:
            yield place(*here)
