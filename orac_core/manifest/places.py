"""Where the manifest is, and what it says before anything is checked."""

import json
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigurationError

MAX_BYTES = 1024 * 1024
"""A manifest larger than this is a mistake."""

VARIABLE = "ORAC_MANIFEST"
DEFAULT_PLACES = (Path("orac.toml"), Path("configs/llm_models.json"))


def find(named: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """Return the manifest to read: the one named, ``$ORAC_MANIFEST``, or one in a usual place."""
    if named or environ.get(VARIABLE):
        return named or Path(environ[VARIABLE])
    return next((path for place in DEFAULT_PLACES if (path := cwd / place).is_file()), None)


def decoded(path: Path) -> object:
    """Return what the file at *path* says, as TOML or JSON, unchecked.

    Raises:
        ConfigurationError: when it can not be read.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigurationError(f"{path}: larger than {MAX_BYTES} bytes; is it a manifest?")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 text: {error.reason}") from error
    try:
        return _json(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _json(text: str) -> object:
    """Return what *text* says in JSON; that a key stands twice is a mistake, as in TOML."""
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):
        counted = Counter(name for name, _ in pairs)
        twice = ", ".join(f'"{name}"' for name, times in counted.items() if times > 1)
        raise ValueError(f"the key {twice} stands more than once in one table")
    return table
