"""The search path: in which folders models are looked for, and in which order."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen

OLLAMA_STORE = "OLLAMA_MODELS"
"""Names Ollama's own blob store; some point it at a folder of .gguf files all the same."""

DOWNLOADS = "manifest models.downloads"
"""Names the folder into which files are fetched."""

_VARIABLES = ("ORAC_MODELS_DIR", "OLLAMA_MODEL_PATH", OLLAMA_STORE)
_BUILT_IN = (
    "/models/gguf",
    "/app/models/gguf",
    "~/models/gguf",
    "./models/gguf",
    "../models/gguf",
)


@frozen
class Place:
    """A folder that is searched with all below it.

    Attributes:
        path: The folder, absolute; it need not exist.
        origin: Who named it: ``--models-dir``, ``manifest models.paths``, ``manifest
            models.downloads``, the name of an environment variable, or ``built-in``.
    """

    path: Path
    origin: str


def search_path(  # noqa: PLR0913 - each is another kind of thing
    models_dir: Path | None,
    configured: Sequence[Path],
    environ: Mapping[str, str],
    cwd: Path,
    home: Path,
    *,
    downloads: Path | None = None,
) -> tuple[Place, ...]:
    """Return the places in the order they are searched, whether they exist or not.

    Args:
        models_dir: The option ``--models-dir``.
        configured: ``models.paths`` of the manifest.
        environ: The environment; variables that are set to nothing do not count.
        cwd: What relative paths begin from.
        home: What ``~`` stands for.
        downloads: ``models.downloads`` of the manifest.
    """
    named: list[tuple[str, Path | str | None]] = [
        ("--models-dir", models_dir),
        *(("manifest models.paths", path) for path in configured),
        (DOWNLOADS, downloads),
        *((variable, environ.get(variable)) for variable in _VARIABLES),
        *(("built-in", path) for path in _BUILT_IN),
    ]
    return tuple(Place(_absolute(path, cwd, home), origin) for origin, path in named if path)


def _absolute(path: Path | str, cwd: Path, home: Path) -> Path:
    first, *rest = Path(path).parts or (".",)
    expanded = home.joinpath(*rest) if first == "~" else cwd / path
    return Path(os.path.normpath(expanded))
