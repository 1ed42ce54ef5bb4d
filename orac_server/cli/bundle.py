"""``orac doctor --bundle``: all that helps to understand a fault, in one file to send."""

import gzip
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orac_core import ConfigurationError, OracError, StateDirectory
from orac_core.blackbox import MOST_BYTES, dumps, segments
from orac_core.devices import Sensors
from orac_core.manifest import decoded, find

from .. import diagnostics
from ..redaction import Redaction
from .client import Json, reach
from .credentials import known
from .findings import Section, as_facts
from .output import as_json, say, size
from .quick import Asked

NAME = "orac-bundle-%Y%m%dT%H%M%SZ.tar.gz"
FOLDER = "orac-bundle"


async def contents(asked: Asked, sections: Sequence[Section]) -> dict[str, bytes]:
    """Return the files of a bundle by their names, everything secret taken out.

    Args:
        asked: What the doctor was asked.
        sections: What it found.
    """
    path = find(asked.manifest, os.environ, Path.cwd())
    settings = _settings(path)
    redaction = Redaction.of(settings, {**os.environ, **known(os.environ)})
    values = {
        "doctor.json": _without_values(as_facts(sections)),
        "environment.json": {"set": diagnostics.names(os.environ)},
        "health.json": await _health(asked.url),
        "host.json": await _host(),
        "manifest.json": {"path": str(path) if path else None, "settings": settings},
        "versions.json": diagnostics.versions(),
    }
    found = {name: _document(redaction.value(value)) for name, value in values.items()}
    state = StateDirectory.of(os.environ).path
    found |= dict(_recorded(state, redaction)) if state else {}
    about = {**diagnostics.about(), "files": sorted(found)}
    return {"about.json": _document(about), **found}


def write(named: str, files: Mapping[str, bytes]) -> Path:
    """Write *files* as an archive that only its owner may read; return where it is.

    Args:
        named: The file to write; empty for one in the working folder, named for the time.
        files: Its members.

    Raises:
        OracError: when it is there already, or can not be written.
    """
    path = Path(named or datetime.now(UTC).strftime(NAME))
    archive = _archive(files)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        raise OracError(f"{path} is there already; name another file after --bundle") from None
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(archive)
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise _unwritable(path, error) from error
    return path


def tell(path: Path, files: Mapping[str, bytes], *, in_json: bool) -> None:
    """Print where the bundle is, and what is in it."""
    taken = path.stat().st_size
    if in_json:
        as_json({"path": str(path), "size_bytes": taken, "files": sorted(files), "prompts": False})
        return
    say(f"{path} ({size(taken)}), readable by its owner only")
    for name in sorted(files):
        say(f"  {name} ({size(len(files[name]))})")
    say(f"{diagnostics.PROMISE}; look through it before you send it")


def _unwritable(path: Path, error: OSError) -> OracError:
    why = error.strerror or error
    return OracError(f"{path} can not be written: {why}; name another file after --bundle")


def _archive(files: Mapping[str, bytes]) -> bytes:
    """Return a compressed archive that depends on nothing but *files*."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in sorted(files):
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size, member.mode = len(files[name]), 0o600
            archive.addfile(member, io.BytesIO(files[name]))
    return packed.getvalue()


def _settings(path: Path | None) -> object:
    """Return what the manifest says; of one that can not be read nothing could be masked."""
    try:
        return decoded(path) if path else None
    except ConfigurationError:
        return {"problem": "it can not be read, so nothing of it is shown; see doctor.json"}


def _without_values(facts: Json) -> Json:
    """Return the *facts* with names only of environment variables."""
    names = [each["name"] for each in facts["environment"] if each["value"]]
    findings = [each for each in facts["findings"] if each["section"] != "environment"]
    return facts | {"environment": names, "findings": findings}


async def _health(url: str) -> Json:
    try:
        async with reach(url) as server:
            return diagnostics.without_reasons(await server.health())
    except OracError as error:
        return {"server": None, "reason": str(error)}


async def _host() -> Json:
    async with Sensors() as sensors:
        return diagnostics.host(await sensors.look())


def _recorded(folder: Path, redaction: Redaction) -> Iterator[tuple[str, bytes]]:
    for path in (*segments(folder), *dumps(folder)):
        with suppress(OSError), path.open("rb") as opened:
            lines = opened.read(2 * MOST_BYTES).splitlines()
            told = diagnostics.told(lines, redaction)
            yield f"blackbox/{path.name}", b"".join(_document(it, indent=None) for it in told)


def _document(value: Any, indent: int | None = 2) -> bytes:
    return json.dumps(value, indent=indent).encode() + b"\n"
