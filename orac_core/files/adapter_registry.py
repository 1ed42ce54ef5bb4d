"""A folder of adapters, each beside a small manifest that says what it is and for which model.

The manifest of an adapter is JSON or TOML and strict: no key that is not known, nothing missing,
and every mistake is named. It blocks.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path

from attrs import evolve, frozen

from ..errors import ModelFileInvalid
from .adapter_file import misfit, read_adapter
from .malformed import Malformed, fault, printing, quoted

MAX_BYTES = 64 * 1024
"""A manifest larger than this is none of an adapter."""

_ENDINGS = frozenset({".json", ".toml"})
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_NEEDED = ("name", "file", "checksum", "base_architecture")
_ALLOWED = ("base_checksum", "created")
_MOST_CHARACTERS = 200


@frozen
class RegisteredAdapter:
    """What the manifest of an adapter says.

    Attributes:
        name: What it is called; of one that can not be read, the name of its manifest.
        path: Its file; None where the manifest does not say.
        checksum: ``sha256:…`` that the file must have.
        base_architecture: Of the models that it is made for: ``llama``, ``qwen3`` …
        base_checksum: ``sha256:…`` of the one file that it is made for; None for any of the
            architecture that it fits.
        created: When it was made, in ISO 8601; None where the manifest does not say.
        problem: Why it can not be used, in one sentence; None when nothing speaks against it.
    """

    name: str
    path: Path | None = None
    checksum: str | None = None
    base_architecture: str | None = None
    base_checksum: str | None = None
    created: str | None = None
    problem: str | None = None


def registered(folder: Path | None) -> tuple[RegisteredAdapter, ...]:
    """Return the adapters of a folder by the names of their manifests; none where there is none.

    Their headers are looked at, their contents are not read.
    """
    if folder is None:
        return ()
    return tuple(it if it.problem else evolve(it, problem=_problem(it)) for it in claims(folder))


def claims(folder: Path) -> tuple[RegisteredAdapter, ...]:
    """Return what the manifests in a folder say, without looking at the adapters themselves."""
    found: dict[str, RegisteredAdapter] = {}
    for path in sorted(_manifests(folder)):
        entry = _entry(path)
        if entry.name in found:
            problem = f"another manifest in the folder names {quoted(entry.name)} before it"
            entry = evolve(entry, name=printing(path.name), problem=problem)
        found[entry.name] = entry
    return tuple(found.values())


def claimed(data: object, folder: Path) -> RegisteredAdapter:
    """Return what the decoded manifest of an adapter in *folder* says. Pure.

    Raises:
        Malformed: It makes no sense; every mistake is named.
    """
    if not isinstance(data, dict):
        raise Malformed(f"must be a table, not {type(data).__name__}")
    if mistakes := tuple(_mistakes(data)):
        raise Malformed("; ".join(mistakes))
    return RegisteredAdapter(
        data["name"],
        folder / data["file"],
        data["checksum"],
        data["base_architecture"],
        data.get("base_checksum"),
        _moment(data.get("created")),
    )


def _manifests(folder: Path) -> Iterator[Path]:
    try:
        yield from (it for it in folder.iterdir() if it.suffix in _ENDINGS)
    except OSError:
        return


def _entry(path: Path) -> RegisteredAdapter:
    try:
        return claimed(_decoded(path), path.parent)
    except Malformed as error:
        return RegisteredAdapter(printing(path.name), problem=f"its manifest is wrong: {error}")


def _problem(said: RegisteredAdapter) -> str | None:
    assert said.path is not None  # noqa: S101 - what was claimed has one
    try:
        return misfit(read_adapter(said.path), said.base_architecture, None)
    except ModelFileInvalid as error:
        return str(error)


def _decoded(path: Path) -> object:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise Malformed(f"larger than {MAX_BYTES} bytes")
        text = raw.decode()
        return json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise Malformed(fault(error)) from error
    except (ValueError, RecursionError) as error:
        raise Malformed(printing(str(error))) from error


def _mistakes(data: Mapping[object, object]) -> Iterator[str]:
    for key in data:
        if key not in (*_NEEDED, *_ALLOWED):
            yield f"extra key {quoted(str(key))}"
    for key in _NEEDED:
        if key not in data:
            yield f"lacks `{key}`"
    for key in (*_NEEDED, "base_checksum"):
        if key in data and (why := _wrong(key, data[key])):
            yield f"`{key}` {why}"
    if data.get("created") is not None and _moment(data["created"]) is None:
        yield "`created` must be a time in ISO 8601, such as 2026-11-21T12:00:00Z"


def _wrong(key: str, value: object) -> str | None:
    if value is None and key in _ALLOWED:
        return None
    if not isinstance(value, str):
        return f"must be text, not {type(value).__name__}"
    if not 0 < len(value) <= _MOST_CHARACTERS or not value.isprintable():
        return f"must be 1 to {_MOST_CHARACTERS} characters that print"
    if "checksum" in key and not _SHA256.fullmatch(value):
        return "must be sha256: and 64 small hexadecimal digits"
    if key == "file" and (Path(value).name != value or value == ".."):
        return "must be the name of a file in the same folder, without a path"
    return None


def _moment(value: object) -> str | None:
    """Return a time as text; TOML has times of its own."""
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str):
        return None
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return None
    return value
