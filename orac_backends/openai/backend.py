"""The backend of kind ``openai``: asks a server that speaks OpenAI's API."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager, suppress

from attrs import define, evolve, field

from orac_core import (
    BackendError,
    BackendUnavailable,
    Chunk,
    Embeddings,
    EmbedRequest,
    GenerateOptions,
    GenerateRequest,
    Host,
    InstanceHealth,
    InvalidRequest,
    LoadProgress,
    LoadRequest,
    Message,
    ModelInfo,
    ModelNotFound,
    ModelState,
    OracError,
    hookimpl,
)

from .._http import HttpClient
from .._logprobs import limited
from .._request import check_embed, check_load
from .address import Address, address
from .api import ServerApi
from .fellow import HEADER as RELAYED
from .fellow import has_options
from .key import Key
from .listing import Wishes, offered
from .loading import Administration, NotAllowed
from .question import Quirk, learned, question
from .roster import Roster
from .settings import OpenAISettings

_HELLO = "Hi"
_SETTLED_S = 10.0
_LOOK_S = 0.1
_UNDER_WAY = (ModelState.STARTING, ModelState.STOPPING)


@define(eq=False)
class OpenAIBackend:
    """Serves the models of one server, which decides about its memory itself.

    So each model that it lists is ready, and there is nothing to unload. Another ORAC tells how its
    models stand, and loads and unloads them.

    Attributes:
        settings: From the manifest.
        address: Where the server is.
        api: The server.
        administration: Its routes for loads and unloads, should it be another ORAC.
        wishes: What the settings say of its models.
        roster: What it offers.
    """

    settings: OpenAISettings
    address: Address
    api: ServerApi
    administration: Administration
    wishes: Wishes = field(init=False)
    roster: Roster = field(init=False)
    _quirks: dict[str, frozenset[Quirk]] = field(factory=dict, init=False)
    _unfinished: set[str] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        settings, elsewhere = self.settings, not self.address.on_this_machine
        self.wishes = Wishes(
            settings.models,
            frozenset(settings.embeddings),
            settings.context_length,
            elsewhere if settings.metered is None else settings.metered,
            relayed=settings.dialect is None and not settings.list_models,
        )
        self.roster = Roster(self.api)

    @hookimpl
    async def models(self) -> list[ModelInfo]:
        """List what the server lists, or those of it that the settings name."""
        found, wishes = await self.roster.look(), self.wishes
        if self.roster.fellow:
            # It proves its loads, measures and watches its models itself: it is asked nothing more.
            metered = self.settings.metered is not False
            wishes = evolve(wishes, metered=metered, relayed=True)
        return offered(found, wishes, self.api.client.server)

    @hookimpl
    async def load(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        """Ask whether the server has the model, and another ORAC to load it.

        The memory of any other server is its own affair.
        """
        check_load(request)
        self.roster.forget()
        yield LoadProgress(
            "validate", message=f"asking {self.api.client.server} whether it is there"
        )
        info = await self._listed(request.model)
        if info is None:
            raise ModelNotFound(request.model)
        if self.roster.fellow:
            async with aclosing(self._load_there(request, info)) as stages:
                async for stage in stages:
                    yield stage
        elif info.state is ModelState.FAILED:
            raise BackendError(info.state_reason or "its server can not serve it")

    @hookimpl
    async def unload(self, model: str) -> None:
        """Have another ORAC unload the model; of any other server nothing is in memory here.

        What it did not load to the end for this one it gives up by itself, or keeps for others.
        """
        if not self.roster.fellow:
            return
        if model in self._unfinished:
            self._unfinished.discard(model)
            await self._settled(model)
            return
        self.roster.forget()
        info = await self._listed(model)
        if info is not None and info.state is not ModelState.STOPPED:
            try:
                await self.administration.unload(model, self._there(model))
            finally:
                self.roster.forget()

    @hookimpl
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Stream the answer; what the server wants otherwise is learned from its refusals."""
        there, begun = self._there(request.model), False
        with self.api.key.kept(), self._noticing(), self.roster.asked(there):
            while True:
                path, body = self._question(request, there)
                try:
                    async with aclosing(self.api.answer(path, body)) as chunks:
                        async for chunk in chunks:
                            begun = True
                            yield _limited(chunk, request.top_logprobs)
                        return
                except InvalidRequest as error:
                    if begun or not self._learn(there, learned(str(error), body)):
                        raise

    @hookimpl
    async def embed(self, request: EmbedRequest) -> Embeddings:
        """Return a vector for each text."""
        check_embed(request)
        there = self._there(request.model)
        with self._noticing(), self.roster.asked(there):
            return await self.api.embed(request, there)

    @hookimpl
    async def health(self) -> InstanceHealth:
        """Say whether the server answers, and takes the key."""
        details = {"url": self.address.url}
        try:
            await self.roster.look()
        except OracError as error:
            return InstanceHealth(usable=False, message=str(error), details=details)
        return InstanceHealth(
            usable=True, version=self.roster.version, details=details, warnings=self._warnings()
        )

    def _there(self, model: str) -> str:
        """Return what the server calls a model."""
        if not self.settings.models:
            return self.roster.called(model)
        if model not in self.settings.models:
            raise ModelNotFound(model)
        return self.roster.called(self.settings.models[model])

    async def _listed(self, model: str) -> ModelInfo | None:
        return next((each for each in await self.models() if each.id == model), None)

    async def _load_there(
        self, request: LoadRequest, info: ModelInfo
    ) -> AsyncGenerator[LoadProgress, None]:
        """Have another ORAC load a model, or ask it a token where it lets nobody else load."""
        if info.state is ModelState.READY and not has_options(request):
            return
        there = self._there(request.model)
        self._unfinished.add(request.model)
        try:
            stages = self.administration.load(request, there)
            async with aclosing(self._or_asked(stages, request, info)) as told:
                async for stage in told:
                    yield stage
            self._unfinished.discard(request.model)
        except BaseException:
            # What answers here stays, and its next unload is one that somebody wants.
            if self.roster.answers(there):
                self._unfinished.discard(request.model)
            raise
        finally:
            self.roster.forget()

    async def _or_asked(
        self, stages: AsyncGenerator[LoadProgress, None], request: LoadRequest, info: ModelInfo
    ) -> AsyncGenerator[LoadProgress, None]:
        try:
            async with aclosing(stages):
                async for stage in stages:
                    yield stage
        except NotAllowed:
            if self.administration.own or has_options(request):
                raise
            told = f"asking {self.api.client.server} for a first word, for which it loads the model"
            yield LoadProgress("start", message=told)
            await self._asked(info)

    async def _asked(self, info: ModelInfo) -> None:
        """Return when a model has answered with one token, or one vector."""
        if not {"completion", "chat"} & {*info.capabilities}:
            await self.embed(EmbedRequest(info.id, (_HELLO,)))
            return
        options = GenerateOptions(max_tokens=1, temperature=0.0)
        asked = GenerateRequest(info.id, (Message("user", _HELLO),), options=options)
        async with aclosing(self.generate(asked)) as chunks:
            async for _ in chunks:
                pass

    async def _settled(self, model: str) -> None:
        """Return when a model is neither being loaded nor unloaded, or others have it loaded."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLED_S):
                while True:
                    self.roster.forget()
                    info = await self._listed(model)
                    if info is None or info.state not in _UNDER_WAY:
                        return
                    await asyncio.sleep(_LOOK_S)

    def _question(self, request: GenerateRequest, there: str) -> tuple[str, dict[str, object]]:
        quirks = self._quirks.get(there, frozenset())
        return question(request, there, self.roster.dialect, quirks, self.settings.context_length)

    def _learn(self, there: str, quirk: Quirk | None) -> bool:
        """Take note of what a server wants otherwise; return whether that is new."""
        known = self._quirks.get(there, frozenset())
        if quirk is None or quirk in known:
            return False
        self._quirks[there] = known | {quirk}
        return True

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        """Ask for the list anew when the server turns out to be gone, or to lack the model."""
        try:
            yield
        except BackendUnavailable:
            self.roster.forget(gone=True)
            raise

    def _warnings(self) -> tuple[str, ...]:
        keys = self.api.key.text, self.administration.key.text
        if not any(keys) or self.address.secure or self.address.on_this_machine:
            return ()
        told = f"the key of {self.address.url} goes over the network unencrypted; use https"
        return (f"{told}, or reach the server through a tunnel",)


@asynccontextmanager
async def open_backend(settings: OpenAISettings, host: Host) -> AsyncIterator[OpenAIBackend]:
    """Open a backend; nothing is asked yet.

    Raises:
        BackendError: when there is no key where one should be, or no certificates.
    """
    where = address(settings.url)
    key = Key.read(settings.key_env, settings.key_file, host.environ)
    files = settings.admin_key_env, settings.admin_key_file
    admin = Key.read(*files, host.environ, "admin_key")
    async with AsyncExitStack() as stack:
        client = _client(settings, where, key)
        stack.push_async_callback(client.close)
        api = ServerApi(client, settings, key)
        if own := bool(admin.text):
            client = _client(settings, where, admin)
            stack.push_async_callback(client.close)
        loads = Administration(client, admin if own else key, own, settings.idle_timeout_s)
        backend = OpenAIBackend(settings, where, api, loads)
        stack.push_async_callback(backend.roster.close)
        yield backend


def _limited(chunk: Chunk, top: int | None) -> Chunk:
    """Return a chunk with no more of the likeliest tokens than were asked for."""
    return evolve(chunk, tokens=limited(chunk.tokens, top)) if chunk.tokens else chunk


def _client(settings: OpenAISettings, where: Address, key: Key) -> HttpClient:
    ca_file = settings.ca_file.expanduser() if settings.ca_file else None
    try:
        return HttpClient.open(
            f"the server at {where.url}",
            where.url,
            headers={RELAYED: "1", **key.headers},
            # Engines close connections at moments of their own, and a question may meet with that.
            # Far away it would cost more to make each anew.
            keep_alive=where.secure,
            connect_s=settings.connect_timeout_s,
            ca_file=ca_file,
            proxy=settings.proxy,
        )
    except (OSError, ssl.SSLError) as error:
        raise BackendError(f"ca_file {ca_file} holds no certificates: {error}") from error
