"""The front door of the library: open a manager, or ask one question from a script."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from pathlib import Path
from typing import Any

from ..conversation import Answer, GenerateOptions, GenerateRequest, Message
from ..devices import Sensors
from ..durations import limit_s
from ..errors import ConfigurationError, InvalidRequest, OracError
from ..events import Events
from ..files import Adapters, ModelFile, ModelFiles, search_path
from ..health import Required
from ..kinds import Host
from ..manifest import (
    ActiveProfile,
    BackendEntry,
    Manifest,
    Option,
    Settled,
    activated,
    find,
    place,
    refusal,
    settled,
    structure,
)
from ..plugins import Instance, Plugins
from ..provision import Provisioning
from ..registry import Registry
from ..state_directory import StateDirectory
from .admission import Limits
from .breaker import Rule
from .engines import Backends
from .manager import ModelManager
from .names import Names
from .registered import KIND
from .scrub import Pace, Scrub, scrubbing

_MIB = 1 << 20

WITHOUT_MANIFEST = {
    "local": BackendEntry("llamacpp", {}),
    "ollama": BackendEntry("ollama", {"import_files": False}),
}
"""The backends that are opened when the manifest names none."""

UNASKED = frozenset({"ollama"})
"""Those of them that are not missed where they do not answer, unless a role names them."""

FOR_REGISTERED = {"python": BackendEntry(KIND, {})}
"""Opened where none of that kind is named, and not missed as long as nothing is registered."""


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
    registry: Registry | None = None,
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
        registry: Objects to serve from the start on; `ModelManager.register` adds others.

    Yields:
        The manager.

    Raises:
        ConfigurationError: when the manifest is wrong, naming every mistake.
    """
    environ = os.environ if environ is None else environ
    known = manifest if isinstance(manifest, Manifest) else settle(manifest, environ)
    active = active_profile(known, plugins := plugins or Plugins.discover())
    state = StateDirectory.of(environ) if state is None else state
    files = model_files(known, models_dir, environ, state)
    registry = Registry() if registry is None else registry
    host = Host(files, environ, _downloads(known), registry)
    async with AsyncExitStack() as stack:
        backends = await _open_backends(stack, known, active, plugins, host)
        manager = _manager(
            known,
            active,
            backends,
            host,
            plugins=plugins,
            limits=limits or _limits(known),
            state=state,
            sensors=await stack.enter_async_context(sensors or Sensors()),
        )
        await stack.enter_async_context(_scrubbed(known, manager))
        if load_at_start:
            manager.start.begin(_at_start(manager))
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
    """Return what holds by the manifest *named*, or one in a usual place, and by *environ*.

    Raises:
        ConfigurationError: when that is wrong, naming every mistake.
    """
    return layers(named, environ).manifest


def layers(
    named: Path | None, environ: Mapping[str, str], options: Mapping[str, Option] | None = None
) -> Settled:
    """Return what holds as `settle` does, the *options* of a command over it, and where from.

    Raises:
        ConfigurationError: when that is wrong, naming every mistake.
    """
    return settled(find(named, environ, Path.cwd()), environ, options, _settings_of_kinds)


def _settings_of_kinds() -> dict[str, type[Any]]:
    return {name: kind.settings for name, kind in Plugins.discover().kinds.items()}


def active_profile(manifest: Manifest, plugins: Plugins) -> ActiveProfile:
    """Return what the active profile comes to with the backends and plugins that there are."""
    entries, _ = backends_of(manifest, plugins.kinds)
    kinds = {name: entry.kind for name, entry in entries.items()}
    return activated(manifest, kinds, plugins.kinds)


def backends_of(
    manifest: Manifest, kinds: Collection[str]
) -> tuple[Mapping[str, BackendEntry], frozenset[str]]:
    """Return the backends to open, and which of them nobody has asked for.

    Args:
        manifest: The manifest.
        kinds: The kinds that plugins offer.
    """
    entries = manifest.backends or WITHOUT_MANIFEST
    unasked = frozenset() if manifest.backends else UNASKED
    if KIND not in kinds or any(entry.kind == KIND for entry in entries.values()):
        return entries, unasked
    added = {name: it for name, it in FOR_REGISTERED.items() if name not in entries}
    return {**entries, **added}, unasked | added.keys()


def _manager(
    manifest: Manifest, active: ActiveProfile, backends: Backends, host: Host, **given: Any
) -> ModelManager:
    """Return the manager of what was opened, with what is *given* besides."""
    events = Events()
    return ModelManager(
        backends=backends,
        files=host.files,
        names=_names(manifest, active),
        settings=manifest.models,
        benchmark=manifest.benchmark,
        adapters=Adapters(host.files, adapter_folder(manifest)),
        events=events,
        provisioning=_provisioning(manifest, active, backends, events),
        required=_required(manifest),
        profile=active,
        registry=host.registry,
        **given,
    )


def model_files(
    manifest: Manifest,
    models_dir: Path | None,
    environ: Mapping[str, str],
    state: StateDirectory | None = None,
) -> ModelFiles:
    """Return the model files on the search path that holds; *state* keeps their digests."""
    places = search_path(
        models_dir,
        manifest.models.paths,
        environ,
        Path.cwd(),
        Path.home(),
        downloads=manifest.models.downloads,
    )
    roles = ((role.name, role.checksum) for role in manifest.roles.values())
    files = ((name, settings.checksum) for name, settings in manifest.models.files.items())
    checksums = {name: checksum for name, checksum in (*roles, *files) if checksum}
    return ModelFiles(places, checksums, state or StateDirectory(None), _adapters(manifest))


def _adapters(manifest: Manifest) -> Callable[[Path], bool]:
    """Return what tells the adapters of a manifest from models, by their names and their folder."""
    profiles, folder = manifest.profiles.values(), adapter_folder(manifest)
    of_roles = (role.adapters for profile in profiles for role in profile.models.values())
    of_models = (each.adapters for each in manifest.models.files.values())
    wishes = (it for each in (*of_roles, *of_models) for it in each)
    stems = {Path(it.path).name.removesuffix(".gguf") for it in wishes}
    return lambda path: path.stem in stems or folder in path.parents


def adapter_folder(manifest: Manifest) -> Path | None:
    """Return the folder with the adapters and their manifests; None for none."""
    folder = manifest.models.adapters
    return None if folder is None else Path.cwd() / folder.expanduser()


def _limits(manifest: Manifest) -> Limits:
    server, models = manifest.server, manifest.models
    return Limits(
        server.max_concurrency,
        server.max_queue,
        deadline_s=limit_s(server.deadline),
        drain_s=limit_s(server.drain),
        max_workers=models.max_workers,
        sparing=Rule(
            server.breaker_failures, limit_s(server.breaker_window), limit_s(server.breaker_pause)
        ),
    )


def _at_start(manager: ModelManager) -> list[str]:
    return [name for name, wish in manager.settings.files.items() if wish.load_at_start]


def file_named(name: str, manifest: Manifest, files: Sequence[ModelFile]) -> ModelFile | None:
    """Return the one of *files* that a name means, as `ModelManager.find` would; None for none."""
    ids = {file.id: file.id for file in files}
    entries = manifest.backends or WITHOUT_MANIFEST
    kinds = {each: entry.kind for each, entry in entries.items()}
    names = _names(manifest, activated(manifest, kinds, kinds.values()))
    target = names.resolve(name, dict.fromkeys(entries, ids))
    return next((file for file in files if target and file.id == target.model), None)


def _names(manifest: Manifest, active: ActiveProfile) -> Names:
    return Names(
        {role: active.models(role) for role in active.roles},
        manifest.models.aliases,
        {role: each.parameters for role, each in active.roles.items()},
        active.skipped,
        frozenset(role for role, each in active.roles.items() if each.prefer),
    )


def _downloads(manifest: Manifest) -> Path | None:
    named = manifest.models.downloads
    return None if named is None else named.expanduser().absolute()


def _provisioning(
    manifest: Manifest, active: ActiveProfile, backends: Backends, events: Events
) -> Provisioning:
    return Provisioning(
        {**manifest.roles, **active.roles},
        manifest.models.files,
        backends.open,
        backends.kinds,
        backends.failed,
        active.skipped,
        manifest.profile,
        events,
    )


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
    stack: AsyncExitStack, manifest: Manifest, active: ActiveProfile, plugins: Plugins, host: Host
) -> Backends:
    opened: dict[str, Instance] = {}
    failed: dict[str, str] = {}
    entries, unasked = backends_of(manifest, plugins.kinds)
    unasked -= active.instances(unasked)
    settings = checked_settings(entries, plugins)
    for name, entry in entries.items():
        try:
            opening = _opening(name, entry.kind, settings, plugins, host)
            opened[name] = await stack.enter_async_context(opening)
        except ConfigurationError:
            raise
        except OracError as error:
            if name not in unasked:
                failed[name] = str(error)
    kinds = {name: entry.kind for name, entry in entries.items()}
    given = {name: entry.settings for name, entry in entries.items()}
    return Backends(opened, kinds, failed, unasked, given)


def checked_settings(
    entries: Mapping[str, BackendEntry], plugins: Plugins, source: str = "manifest"
) -> dict[str, Any]:
    """Return the settings of each backend whose kind a plugin offers, as that kind has them.

    *source* names the manifest in errors.

    Raises:
        ConfigurationError: naming every mistake of all of them.
    """
    found: dict[str, Any] = {}
    problems: list[str] = []
    for name, entry in entries.items():
        if kind := plugins.kinds.get(entry.kind):
            try:
                at = place("backends", name)
                found[name] = structure(entry.settings, kind.settings, "manifest", at)
            except ConfigurationError as error:
                problems += error.problems
    if problems:
        raise refusal(source, tuple(problems))
    return found


def _opening(
    name: str, kind: str, settings: Mapping[str, Any], plugins: Plugins, host: Host
) -> AbstractAsyncContextManager[Instance]:
    if kind not in plugins.kinds:
        known = ", ".join(sorted(plugins.kinds)) or "none"
        raise OracError(f"no plugin offers the kind {kind!r}; there are: {known}")
    return plugins.open(name, plugins.kinds[kind], settings[name], host)
