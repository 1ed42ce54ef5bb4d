"""Finding plugins, and giving every configured backend a relay of its own.

Calls of pluggy are synchronous and go to every plugin that is registered. ORAC needs asynchronous
calls to exactly one backend. So each instance has a plugin manager of its own, which holds that one
backend and the wrappers of all plugins: a wrapper written once wraps every instance, and no call
can reach the wrong one.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from importlib.metadata import EntryPoint, entry_points
from inspect import isawaitable
from typing import Any, TypeVar

import pluggy
from attrs import define, field, frozen

from . import hookspecs
from .conversation import Chunk, Embeddings, EmbedRequest, GenerateRequest
from .errors import BackendError, ConfigurationError, InvalidRequest, OracError, PluginError
from .hook_version import HookVersion
from .hookspecs import HOOK_VERSION, PROJECT
from .kinds import BackendKind, Host
from .manifest.structure import structure
from .types import InstanceHealth, LoadProgress, LoadRequest, ModelInfo, PullProgress, PullRequest

REQUIRED = ("models", "load", "unload", "generate", "health")
"""The hooks that every backend implements."""

OPTIONAL = ("embed", "pull", "obtain")
"""The hooks that a backend implements when its engine can do that."""

T = TypeVar("T")


@frozen
class Plugin:
    """A plugin that was found: its module, where it came from, and what it does.

    Attributes:
        name: Of its entry point.
        module: The module.
        distribution: Name of the package that brought it, if that is known.
        kinds: The kinds of backend it offers.
        wraps: The hooks it wraps.
        hooks: The version of the hooks it was built for; None when it does not say.
    """

    name: str
    module: object
    distribution: str | None
    kinds: tuple[BackendKind, ...]
    wraps: tuple[str, ...]
    hooks: str | None = None


@define(eq=False)
class Plugins:
    """The plugins that were found, the kinds they offer, and those that are broken.

    Attributes:
        plugins: By name of their entry point.
        kinds: By name as in the manifest.
        broken: Why each plugin that can not be used was put aside.
    """

    plugins: dict[str, Plugin] = field(factory=dict)
    kinds: dict[str, BackendKind] = field(factory=dict)
    broken: dict[str, str] = field(factory=dict)

    @classmethod
    def discover(cls, found: Iterable[EntryPoint] | None = None) -> "Plugins":
        """Load every installed plugin, one by one, so that a broken one stops no other."""
        plugins = cls()
        for entry_point in entry_points(group=PROJECT) if found is None else found:
            plugins.add(entry_point)
        return plugins

    def add(self, entry_point: EntryPoint) -> None:
        """Load one plugin; a broken one is kept aside with its reason."""
        distribution = entry_point.dist.name if entry_point.dist else None
        try:
            self.register(entry_point.name, entry_point.load(), distribution)
        except Exception as error:  # noqa: BLE001 - a stranger's module may raise anything
            self.broken[entry_point.name] = _reason(error, distribution)

    def register(self, name: str, module: object, distribution: str | None = None) -> None:
        """Take *module* in as a plugin.

        Raises:
            PluginError: when it breaks the contract, is built for hooks that these are not, or its
                name or a kind of it is taken.
        """
        if name in self.plugins:
            raise PluginError(f"there is a plugin named {name!r} already; rename the entry point")
        hooks = _built_for(module)
        kinds, wraps = _offered(name, module)
        for kind in kinds:
            if kind.name in self.kinds:
                raise PluginError(f"the kind {kind.name!r} is taken by another plugin")
        self.plugins[name] = Plugin(name, module, distribution, kinds, wraps, hooks)
        self.kinds |= {kind.name: kind for kind in kinds}

    def settled(self, kind: str, table: Mapping[str, Any]) -> tuple[BackendKind, Any]:
        """Return the kind of that name, and its settings of a *table* of the manifest.

        Raises:
            ConfigurationError: when no plugin offers it, or the table is wrong: naming every
                mistake.
        """
        if kind not in self.kinds:
            there = ", ".join(sorted(self.kinds))
            raise ConfigurationError(f"there is no kind {kind!r}; the kinds installed are {there}")
        found = self.kinds[kind]
        return found, structure(dict(table), found.settings, f"the settings of {kind}")

    def bind(self, name: str, backend: object) -> "Instance":
        """Put *backend* behind a relay of its own, inside every plugin's wrappers.

        Raises:
            PluginError: when the backend lacks a hook, misspells one, or can not be registered.
        """
        if type(backend).__hash__ is None:
            raise PluginError(
                f"{name}: {type(backend).__name__} is not hashable; declare it @define(eq=False)",
            )
        manager = _manager()
        _register(manager, backend, f"backend {name}")
        lacking = [hook for hook in REQUIRED if not getattr(manager.hook, hook).get_hookimpls()]
        if lacking:
            raise PluginError(
                f"{name}: {type(backend).__name__} lacks {', '.join(lacking)}; "
                "define them with `async def` under @hookimpl",
            )
        offers = frozenset(hook for hook in OPTIONAL if getattr(manager.hook, hook).get_hookimpls())
        for plugin in self.plugins.values():
            manager.register(plugin.module, plugin.name)
        return Instance(name, manager.hook, offers)

    @asynccontextmanager
    async def open(
        self, name: str, kind: BackendKind, settings: object, host: Host
    ) -> AsyncIterator["Instance"]:
        """Open a backend of *kind* as the instance *name*; it is closed on leaving.

        Raises:
            PluginError: when the backend breaks the contract.
            BackendError: when it can not be opened.
        """
        async with AsyncExitStack() as stack:
            try:
                backend = await stack.enter_async_context(kind.open(settings, host))
            except Exception as error:
                raise _translated(error, name, "open") from error
            yield self.bind(name, backend)


@frozen(eq=False)
class Instance:
    """One configured backend: the typed face of its hooks, and their only caller.

    Whatever a backend raises that is not an ``OracError`` comes out as a ``BackendError`` that
    names the instance and the operation and keeps its cause.

    Attributes:
        name: Its name in the manifest.
        offers: The optional hooks that its backend implements.
    """

    name: str
    _hook: pluggy.HookRelay
    offers: frozenset[str] = frozenset()

    async def models(self) -> list[ModelInfo]:
        """List what the backend could serve; see ``hookspecs.models``."""
        return _list_of_models(await self._call("models"), self.name)

    async def unload(self, model: str) -> None:
        """Free the memory of *model*; see ``hookspecs.unload``."""
        await self._call("unload", model=model)

    async def health(self) -> InstanceHealth:
        """Say whether the backend can serve. A backend that raises is not usable."""
        try:
            answer = await self._call("health")
        except OracError as error:
            return InstanceHealth(usable=False, message=str(error))
        if not isinstance(answer, InstanceHealth):
            message = f"health answered {type(answer).__name__}, not InstanceHealth"
            return InstanceHealth(usable=False, message=message)
        return answer

    async def load(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        """Bring a model into memory; see ``hookspecs.load``."""
        async with aclosing(self._stream("load", LoadProgress, request)) as stream:
            async for progress in stream:
                yield progress

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Stream an answer; see ``hookspecs.generate``.

        Raises:
            BackendError: also when the stream ends without a chunk that is done, or goes on
                after it.
        """
        done = False
        with self._translating("generate"):
            async with aclosing(self._opened("generate", request)) as stream:
                async for chunk in stream:
                    if not isinstance(chunk, Chunk):
                        raise self._yielded("generate", Chunk, chunk)
                    if done:
                        raise self._broke("the stream went on after its last chunk")
                    done = chunk.done
                    yield chunk
            if not done:
                raise self._broke("the stream broke off before the answer was done")

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """Turn texts into vectors; see ``hookspecs.embed``.

        Raises:
            InvalidRequest: also when this backend can not.
        """
        self._require("embed", "make embeddings")
        answer = await self._call("embed", request=request)
        if isinstance(answer, Embeddings) and len(answer.vectors) == len(request.texts):
            return answer
        raise PluginError(f"{self.name}: embed must return Embeddings, a vector for each text")

    async def pull(self, request: PullRequest) -> AsyncGenerator[PullProgress, None]:
        """Fetch a model onto the disk; see ``hookspecs.pull``.

        Raises:
            InvalidRequest: also when this backend can not.
        """
        self._require("pull", "fetch models")
        async with aclosing(self._stream("pull", PullProgress, request)) as stream:
            async for progress in stream:
                yield progress

    async def obtain(self, model: str) -> object:
        """Return the object that a loaded model is; see ``hookspecs.obtain``.

        Raises:
            InvalidRequest: also when this backend can not.
        """
        self._require("obtain", "hand out objects")
        return await self._call("obtain", model=model)

    def _require(self, hook: str, what: str) -> None:
        if hook not in self.offers:
            raise InvalidRequest(f"{self.name} can not {what}; its kind of backend does not")

    def _broke(self, what: str) -> BackendError:
        return BackendError(f"{self.name}: {what}", instance=self.name, operation="generate")

    async def _call(self, operation: str, **arguments: object) -> Any:
        with self._translating(operation):
            answer = getattr(self._hook, operation)(instance=self.name, **arguments)
            if not isawaitable(answer):
                raise PluginError(
                    f"{self.name}: {operation} must be `async def`; it returned "
                    f"{type(answer).__name__}",
                )
            return await answer

    async def _stream(
        self, operation: str, item: type[T], request: object
    ) -> AsyncGenerator[T, None]:
        with self._translating(operation):
            async with aclosing(self._opened(operation, request)) as stream:
                async for value in stream:
                    if not isinstance(value, item):
                        raise self._yielded(operation, item, value)
                    yield value

    def _opened(self, operation: str, request: object) -> AsyncGenerator[Any, None]:
        stream = getattr(self._hook, operation)(instance=self.name, request=request)
        if isinstance(stream, AsyncGenerator):
            return stream
        raise PluginError(
            f"{self.name}: {operation} must be an async generator (`async def` with "
            f"`yield`); it returned {type(stream).__name__}",
        )

    def _yielded(self, operation: str, item: type, value: object) -> PluginError:
        return PluginError(
            f"{self.name}: {operation} must yield {item.__name__}, not {type(value).__name__}",
        )

    def _translating(self, operation: str) -> "_Translating":
        return _Translating(self.name, operation)


@frozen
class _Translating:
    """Makes an error of ORAC's of what goes wrong within."""

    instance: str
    operation: str

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception):
            return
        translated = _translated(error, self.instance, self.operation)
        if translated is not error:
            raise translated from error


def _built_for(module: object) -> str | None:
    """Return the version of the hooks that *module* says it was built for."""
    said = getattr(module, "orac_hooks", None)
    if said is None:
        return None
    built_for = HookVersion.of(said)
    if misfit := HookVersion.of(HOOK_VERSION).misfit(built_for):
        raise PluginError(misfit)
    return str(built_for)


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def _register(manager: pluggy.PluginManager, plugin: object, name: str) -> None:
    try:
        manager.register(plugin, name)
        manager.check_pending()
    except (pluggy.PluginValidationError, ValueError) as error:
        raise PluginError(f"{name}: {error}") from error


def _offered(name: str, module: object) -> tuple[tuple[BackendKind, ...], tuple[str, ...]]:
    """Return the kinds that a plugin offers, and the hooks that it wraps."""
    manager = _manager()
    _register(manager, module, name)
    if not manager.get_hookcallers(module):
        raise PluginError("it implements no hook; mark its functions with @hookimpl")
    operations = (*REQUIRED, *OPTIONAL)
    wraps = tuple(hook for hook in operations if getattr(manager.hook, hook).get_hookimpls())
    for operation in wraps:
        for impl in getattr(manager.hook, operation).get_hookimpls():
            if not impl.wrapper:
                raise PluginError(
                    f"{operation} of a plugin module would answer for every backend; a module may "
                    "only wrap it: @hookimpl(wrapper=True)",
                )
    kinds = tuple(kind for offered in manager.hook.backend_kinds() for kind in offered)
    for kind in kinds:
        if not isinstance(kind, BackendKind):
            raise PluginError(f"backend_kinds must name BackendKind, not {type(kind).__name__}")
    return kinds, wraps


def _list_of_models(answer: object, instance: str) -> list[ModelInfo]:
    if isinstance(answer, list) and all(isinstance(model, ModelInfo) for model in answer):
        return answer
    raise PluginError(f"{instance}: models must return a list of ModelInfo")


def _translated(error: Exception, instance: str, operation: str) -> OracError:
    if isinstance(error, BackendError):
        error.instance = error.instance or instance
        error.operation = error.operation or operation
        return error
    if isinstance(error, OracError):
        return error
    text = str(error) or type(error).__name__
    return BackendError(
        f"{instance}: {operation} failed: {text}",
        instance=instance,
        operation=operation,
    )


def _reason(error: Exception, distribution: str | None) -> str:
    origin = f" (from {distribution})" if distribution else ""
    return f"{type(error).__name__}: {error}{_hint(error)}{origin}"


def _hint(error: Exception) -> str:
    """Say what it may mean that a plugin imports what the library does not have."""
    missing = isinstance(error, ImportError) and (error.name or "").split(".")[0] == "orac_core"
    return f"; it may be built for other hooks than {HOOK_VERSION}" if missing else ""
