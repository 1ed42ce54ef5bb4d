"""The front door of the library: open a manager, or ask one question from a script."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from pathlib import Path

from ..conversation import Answer, GenerateOptions, GenerateRequest, Message
from ..devices import Sensors
from ..durations import limit_s
from ..errors import ConfigurationError, InvalidRequest, OracError
from ..files import ModelFile, ModelFiles, search_path
from ..health import Required
from ..kinds import Host
from ..manifest import BackendEntry, Manifest, find, read, structure
from ..plugins import Instance, Plugins
from ..state_directory import StateDirectory
from .admission import Limits
from .engines import Backends
from .manager import ModelManager
from .names import Names
from .scrub import Pace, Scrub, scrubbing

_MIB = 1 << 20

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
    load_at_start: bool = True,
    state: StateDirectory | None = None,
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
        load_at_start: Whether to begin to load the models that the manifest wants loaded from the
            start on; ``manager.start`` tells how far that is.
        state: Where to keep what is learned, instead of where *environ* says.

    Yields:
        The manager.

    Raises:
        ConfigurationError: when the manifest is wrong, naming every mistake.
    """
    environ = os.environ if environ is None else environ
    known = manifest if isinstance(manifest, Manifest) else settle(manifest, environ)
    plugins = plugins or Plugins.discover()
    state = StateDirectory.of(environ) if state is None else state
    files = model_files(known, models_dir, environ, state)
    async with AsyncExitStack() as stack:
        backends = await _open_backends(stack, known, plugins, Host(files, environ))
        manager = ModelManager(
            backends,
            plugins,
            files,
            _names(known),
            limits or _limits(known),
            known.models,
            benchmark=known.benchmark,
            required=_required(known),
            state=state,
            sensors=await stack.enter_async_context(sensors or Sensors()),
        )
        await stack.enter_async_context(_scrubbed(known, manager))
        if load_at_start:
            manager.start.begin(_at_start(known))
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
        opening = open_manager(manifest, models_dir=models_dir, load_at_start=False)
        async with opening as manager:
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
    manifest: Manifest,
    models_dir: Path | None,
    environ: Mapping[str, str],
    state: StateDirectory | None = None,
) -> ModelFiles:
    """Return the model files on the search path that holds; *state* keeps their digests."""
    places = search_path(models_dir, manifest.models.paths, environ, Path.cwd(), Path.home())
    checksums = {
        name: settings.checksum
        for name, settings in manifest.models.files.items()
        if settings.checksum
    }
    return ModelFiles(places, checksums, state or StateDirectory(None))


def _limits(manifest: Manifest) -> Limits:
    server, models = manifest.server, manifest.models
    return Limits(
        server.max_concurrency,
        server.max_queue,
        deadline_s=limit_s(server.deadline),
        drain_s=limit_s(server.drain),
        max_workers=models.max_workers,
    )


def _at_start(manifest: Manifest) -> list[str]:
    return [name for name, wish in manifest.models.files.items() if wish.load_at_start]


def file_named(name: str, manifest: Manifest, files: Sequence[ModelFile]) -> ModelFile | None:
    """Return the one of *files* that a name means, as `ModelManager.find` would; None for none."""
    ids = {file.id: file.id for file in files}
    available = dict.fromkeys(manifest.backends or WITHOUT_MANIFEST, ids)
    target = _names(manifest).resolve(name, available)
    return next((file for file in files if target and file.id == target.model), None)


def _names(manifest: Manifest) -> Names:
    roles = {role: each.model for role, each in manifest.roles.items()}
    return Names(roles, manifest.models.aliases)


def _scrubbed(manifest: Manifest, manager: ModelManager) -> AbstractAsyncContextManager[None]:
    if not manifest.models.scrub:
        return nullcontext()
    pace = Pace(manifest.models.scrub_mib_per_s * _MIB)
    return scrubbing(Scrub(manager.files, lambda: manager.busy, pace, manager.state))


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
    settings = {name: entry.settings for name, entry in entries.items()}
    return Backends(opened, kinds, failed, unasked, settings)


async def _open_backend(
    stack: AsyncExitStack, name: str, entry: BackendEntry, plugins: Plugins, host: Host
) -> Instance:
    kind = plugins.kinds.get(entry.kind)
    if kind is None:
        known = ", ".join(sorted(plugins.kinds)) or "none"
        raise OracError(f"no plugin offers the kind {entry.kind!r}; there are: {known}")
    settings = structure(entry.settings, kind.settings, "manifest", f"backends.{name}")
    return await stack.enter_async_context(plugins.open(name, kind, settings, host))
