"""The backend of kind ``ray``: each model an application of Ray Serve on a cluster."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from attrs import define, evolve, field

from orac_core import (
    BackendUnavailable,
    Chunk,
    ConfigurationError,
    Embeddings,
    EmbedRequest,
    GenerateRequest,
    Host,
    InstanceHealth,
    LoadProgress,
    LoadRequest,
    ModelInfo,
    ModelNotFound,
    OracError,
    Plugins,
    hookimpl,
)

from .._folder import socket_folder
from .._ray.spec import Spec
from .._ray.told import Cluster
from .._ray.wire import Question, packed, unpacked
from .._request import check, check_embed, check_load
from .bridge import Bridge, Joining
from .deployments import Deployments, Unloaded
from .listing import few, listed
from .replicas import Replicas
from .settings import RayModel, RaySettings
from .specs import app_name, specified

_JOIN_S = 1.0

logger = logging.getLogger("orac.ray")


@define(eq=False)
class RayBackend:
    """Serves models by replicas on the nodes of a cluster.

    Attributes:
        settings: From the manifest.
        host: Knows what files must hash to.
        bridge: To the cluster.
    """

    settings: RaySettings
    host: Host
    bridge: Bridge
    replicas: Replicas = field(init=False)
    deployments: Deployments = field(init=False)
    _seen: set[str] = field(factory=set, init=False)
    _changes: set[asyncio.Task[None]] = field(factory=set, init=False)
    _turns: defaultdict[str, asyncio.Lock] = field(
        factory=lambda: defaultdict(asyncio.Lock), init=False
    )

    def __attrs_post_init__(self) -> None:
        self.replicas = Replicas(self.bridge)
        self.deployments = Deployments(self.bridge, self.replicas)

    @hookimpl
    async def models(self) -> list[ModelInfo]:
        """List the models of the manifest, as the cluster has them.

        As long as it is joined for the first time none is loaded: a load waits for that, and finds
        what is there.
        """
        try:
            cluster = await self.bridge.look(_JOIN_S)
        except Joining:
            cluster = Cluster()
        models = self.settings.models.items()
        return await asyncio.gather(*(self._listed(name, it, cluster) for name, it in models))

    @hookimpl
    async def load(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        """Start the replicas of a model; those of one that runs are changed one by one.

        Raises:
            ModelNotFound: when the manifest names no such model, or a node has none.
            ModelFileInvalid: when a node has another file than is meant.
            InvalidRequest: when an option is out of range.
            BackendUnavailable: when the cluster can not be reached.
            BackendError: when no node has room for it, or its replicas do not start.
        """
        check_load(request)
        model = self.settings.models.get(request.model)
        if model is None:
            raise ModelNotFound(request.model)
        async with self._turns[request.model]:
            yield LoadProgress("validate", message="asking the cluster")
            since = self.deployments.deletions(self._app(request.model))
            cluster = await self.bridge.look(self.settings.connect_timeout_s)
            spec = await self._spec(request, model)
            self._seen.add(request.model)
            async with aclosing(self.deployments.bring(spec, cluster, since)) as stages:
                async for stage in stages:
                    yield stage

    @hookimpl
    async def unload(self, model: str) -> None:
        """Stop the replicas of a model; return when they are gone."""
        if model in self.settings.models:
            await self.deployments.take_off(app_name(self.settings.prefix, model))

    @hookimpl
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Ask a replica; before the first piece another one, when that dies.

        Raises:
            InvalidRequest: when the request is malformed.
            BackendUnavailable: when the model is not loaded, no replica takes it, or the one that
                answers dies.
            BackendError: when the engine in the replica fails.
        """
        check(request)
        question = Question("generate", self._app(request.model), packed(request))
        async with aclosing(self.bridge.stream(question)) as lists:
            async for pieces in lists:
                for chunk in unpacked(pieces, list[Chunk]):
                    yield chunk

    @hookimpl
    async def embed(self, request: EmbedRequest) -> Embeddings:
        """Ask a replica for vectors; raises as `generate` does."""
        check_embed(request)
        question = Question("embed", self._app(request.model), packed(request))
        return unpacked(await self.bridge.ask(question), Embeddings)

    @hookimpl
    async def health(self) -> InstanceHealth:
        """Say whether the cluster answers, and which models have too few replicas."""
        try:
            cluster = await self.bridge.look(_JOIN_S)
        except OracError as error:
            return InstanceHealth(usable=False, message=str(error))
        return InstanceHealth(
            usable=True,
            version=f"ray {cluster.version}",
            details=_details(cluster),
            warnings=self._warnings(cluster),
        )

    async def close(self) -> None:
        """Change nothing any more, and leave the cluster."""
        for task in self._changes:
            task.cancel()
        if self._changes:
            await asyncio.wait(self._changes)
        await self.replicas.close()
        await self.bridge.close()

    def _app(self, model: str) -> str:
        if model not in self.settings.models:
            raise BackendUnavailable(f"{model} is not loaded; the manifest names no such model")
        return app_name(self.settings.prefix, model)

    async def _listed(self, name: str, model: RayModel, cluster: Cluster) -> ModelInfo:
        app = app_name(self.settings.prefix, name)
        now = cluster.apps.get(app)
        told = await self.replicas.told(app) if now and now.running else None
        if told and name not in self._seen:
            self._begin_change(name)
        return listed(name, model, now, told.info if told else None)

    def _begin_change(self, name: str) -> None:
        """Change what an ORAC before this one has left as the manifest now says, if it says so."""
        self._seen.add(name)
        task = asyncio.create_task(self._changed(name), name=f"change {name}")
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)

    async def _changed(self, name: str) -> None:
        app = self._app(name)
        try:
            async with self._turns[name]:
                since = self.deployments.deletions(app)
                cluster, told = await self.bridge.look(), await self.replicas.told(app)
                now = cluster.apps.get(app)
                if told is None or now is None or now.going:
                    return
                spec = await self._spec(
                    evolve(told.request, model=name), self.settings.models[name]
                )
                await _exhaust(self.deployments.bring(spec, cluster, since, anyway=True))
        except Unloaded:
            return
        except OracError as error:
            logger.warning("%s runs on as it was deployed before: %s", name, error)

    async def _spec(self, request: LoadRequest, model: RayModel) -> Spec:
        checksum = await self._checksum(request.model, model)
        return specified(request.model, model, request, checksum, self.settings)

    async def _checksum(self, name: str, model: RayModel) -> str | None:
        """Return what the model's file has to hash to on every node; None where nobody knows."""
        theirs = model.model or name
        said = model.checksum or self.host.files.checksums.get(name)
        if said or (found := await self.host.files.find(theirs)) is None or found.problem:
            return said
        return f"sha256:{await self.host.files.digest(found.parts)}"

    def _warnings(self, cluster: Cluster) -> tuple[str, ...]:
        prefix, models = self.settings.prefix, self.settings.models.items()
        found = (few(name, it, cluster.apps.get(app_name(prefix, name))) for name, it in models)
        return tuple(filter(None, found))


@asynccontextmanager
async def open_backend(settings: RaySettings, host: Host) -> AsyncIterator[RayBackend]:
    """Open a backend; the cluster is joined meanwhile.

    Raises:
        ConfigurationError: when what a model says of the backend in its replicas is wrong.
    """
    _check_inside(settings)
    with socket_folder() as folder:
        backend = RayBackend(settings, host, Bridge(settings, folder))
        backend.bridge.start()
        try:
            yield backend
        finally:
            await backend.close()


async def _exhaust(stages: AsyncGenerator[LoadProgress, None]) -> None:
    async with aclosing(stages):
        async for _ in stages:
            pass


def _check_inside(settings: RaySettings) -> None:
    """Refuse settings that no replica could open; a kind may be installed on the nodes only."""
    plugins = Plugins.discover()
    for name, model in settings.models.items():
        if model.kind in plugins.kinds:
            try:
                plugins.settled(model.kind, model.settings)
            except ConfigurationError as error:
                table = f"models.{name}.settings, for {model.kind}"
                raise ConfigurationError(table, error.problems) from error


def _details(cluster: Cluster) -> dict[str, object]:
    total: defaultdict[str, float] = defaultdict(float)
    for node in cluster.nodes:
        for name in ("CPU", "GPU"):
            total[name] += node.resources.get(name, 0.0)
    apps = {name: dict(app.replicas) for name, app in cluster.apps.items()}
    return {
        "nodes": len(cluster.nodes),
        "cpus": total["CPU"],
        "gpus": total["GPU"],
        "replicas": apps,
    }
