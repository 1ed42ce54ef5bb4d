"""The front door of the library: open a manager, or ask one question from a script."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from ..devices import Sensors
from ..errors import ConfigurationError, InvalidRequest, OracError
from ..files import ModelFiles, search_path
from ..health import Required
from ..kinds import Host
from ..manifest import BackendEntry, Manifest, find, read, structure
from ..plugins import Instance, Plugins
from ..types import Answer, GenerateOptions, GenerateRequest, Message
from .admission import Limits
from .engines import Backends
from .manager import ModelManager
from .names import Names

WITHOUT_MANIFEST = {
    "local": BackendEntry("llamacpp", {}),
    "ollama": BackendEntry("ollama", {"import_files": False}),
}
"""The backends that are opened when the manifest names none."""

UNASKED = frozenset({"ollama"})
"""Those of them that are not missed where they do not answer."""


@asynccontextmanager
async def open_manager(  # noqa: PLR0913 - named in every call but the first
    manifest: Manifest | Path | None = None,
    *,
    models_dir: Path | None = None,
    plugins: Plugins | None = None,
    limits: Limits | None = None,
    environ: Mapping[str, str] | None = None,
    sensors: Sensors | None = None,
) -> AsyncIterator[ModelManager]:
    """Open every backend of the manifest; on leaving, running answers end and engines stop.

    Args:
        manifest: The manifest, or its path. None reads the one that ``ORAC_MANIFEST`` names or
            that lies in a usual place; without any, GGUF files are served by llama.cpp.
        models_dir: A folder to search for models before all others.
        plugins: The plugins to use instead of those that are installed.
        limits: Bounds to use instead of the manifest's.
        environ: Environment variables to use instead of the process's.
        sensors: What tells of the machine, instead of what there is on this one.

    Yields:
        The manager.

    Raises:
        ConfigurationError: when the manifest is wrong, naming every mistake.
    """
    environ = os.environ if environ is None else environ
    known = manifest if isinstance(manifest, Manifest) else settle(manifest, environ)
    plugins = plugins or Plugins.discover()
    files = model_files(known, models_dir, environ)
    async with AsyncExitStack() as stack:
        backends = await _open_backends(stack, known, plugins, Host(files, environ))
        manager = ModelManager(
            backends,
            plugins,
            files,
            Names({role: each.model for role, each in known.roles.items()}, known.models.aliases),
            limits or Limits(known.server.max_concurrency, known.server.max_queue),
            _context_lengths(known),
            required=_required(known),
            sensors=await stack.enter_async_context(sensors or Sensors()),
        )
        try:
            yield manager
        finally:
            await manager.close()


def run(
    prompt: str,
    model: str,
    *,
    options: GenerateOptions | None = None,
    manifest: Manifest | Path | None = None,
    models_dir: Path | None = None,
) -> Answer:
    """Answer one prompt from a script: load *model*, ask it, unload it.

    Use ``async with orac_core.open() as manager`` to keep models loaded between questions.

    Returns:
        The answer.

    Raises:
        OracError: as `open_manager` and `ModelManager.generate` do.
    """
    if not prompt:
        raise InvalidRequest("the prompt is empty; say what to answer")
    request = GenerateRequest(
        model,
        messages=(Message("user", prompt),),
        options=options or GenerateOptions(),
    )

    async def ask() -> Answer:
        async with open_manager(manifest, models_dir=models_dir) as manager:
            return await manager.answer(request)

    return asyncio.run(ask())


def settle(named: Path | None, environ: Mapping[str, str]) -> Manifest:
    """Return the manifest that holds: the one *named*, one in a usual place, or the defaults.

    Raises:
        ConfigurationError: when it is wrong, naming every mistake.
    """
    path = find(named, environ, Path.cwd())
    return read(path) if path else Manifest()


def model_files(
    manifest: Manifest, models_dir: Path | None, environ: Mapping[str, str]
) -> ModelFiles:
    """Return the model files on the search path that holds."""
    places = search_path(models_dir, manifest.models.paths, environ, Path.cwd(), Path.home())
    checksums = {
        name: settings.checksum
        for name, settings in manifest.models.files.items()
        if settings.checksum
    }
    return ModelFiles(places, checksums)


def _context_lengths(manifest: Manifest) -> dict[str, int]:
    return {
        name: settings.context_length
        for name, settings in manifest.models.files.items()
        if settings.context_length
    }


def _required(manifest: Manifest) -> Required:
    files, entries = manifest.models.files, manifest.backends
    return Required(
        tuple(name for name, settings in files.items() if settings.required),
        frozenset(name for name, entry in entries.items() if entry.required),
    )


async def _open_backends(
    stack: AsyncExitStack, manifest: Manifest, plugins: Plugins, host: Host
) -> Backends:
    opened: dict[str, Instance] = {}
    failed: dict[str, str] = {}
    entries = manifest.backends or WITHOUT_MANIFEST
    unasked = frozenset() if manifest.backends else UNASKED
    for name, entry in entries.items():
        try:
            opened[name] = await _open_backend(stack, name, entry, plugins, host)
        except ConfigurationError:
            raise
        except OracError as error:
            if name not in unasked:
                failed[name] = str(error)
    kinds = {name: entry.kind for name, entry in entries.items()}
    return Backends(opened, kinds, failed, unasked)


async def _open_backend(
    stack: AsyncExitStack, name: str, entry: BackendEntry, plugins: Plugins, host: Host
) -> Instance:
    kind = plugins.kinds.get(entry.kind)
    if kind is None:
        known = ", ".join(sorted(plugins.kinds)) or "none"
        raise OracError(f"no plugin offers the kind {entry.kind!r}; there are: {known}")
    settings = structure(entry.settings, kind.settings, "manifest", f"backends.{name}")
    return await stack.enter_async_context(plugins.open(name, kind, settings, host))
