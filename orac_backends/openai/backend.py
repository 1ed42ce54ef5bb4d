"""The backend of kind ``openai``: asks a server that speaks OpenAI's API."""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager

from attrs import define, evolve, field

from orac_core import (
    BackendError,
    BackendUnavailable,
    Chunk,
    Embeddings,
    EmbedRequest,
    GenerateRequest,
    Host,
    InstanceHealth,
    InvalidRequest,
    LoadProgress,
    LoadRequest,
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
from .key import Key
from .listing import Wishes, offered
from .question import Quirk, learned, question
from .roster import Roster
from .settings import OpenAISettings


@define(eq=False)
class OpenAIBackend:
    """Serves the models of one server, which decides about its memory itself.

    So each model that it lists is ready, and there is nothing to unload.

    Attributes:
        settings: From the manifest.
        address: Where the server is.
        api: The server.
        wishes: What the settings say of its models.
        roster: What it offers.
    """

    settings: OpenAISettings
    address: Address
    api: ServerApi
    wishes: Wishes = field(init=False)
    roster: Roster = field(init=False)
    _quirks: dict[str, frozenset[Quirk]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        settings, elsewhere = self.settings, not self.address.on_this_machine
        self.wishes = Wishes(
            settings.models,
            frozenset(settings.embeddings),
            settings.context_length,
            elsewhere if settings.metered is None else settings.metered,
        )
        self.roster = Roster(self.api)

    @hookimpl
    async def models(self) -> list[ModelInfo]:
        """List what the server lists, or those of it that the settings name."""
        return offered(await self.roster.look(), self.wishes, self.api.client.server)

    @hookimpl
    async def load(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        """Ask whether the server has the model; its memory is its own affair."""
        check_load(request)
        self.roster.forget()
        yield LoadProgress(
            "validate", message=f"asking {self.api.client.server} whether it is there"
        )
        for info in await self.models():
            if info.id == request.model:
                if info.state is ModelState.FAILED:
                    raise BackendError(info.state_reason or "its server can not serve it")
                return
        raise ModelNotFound(request.model)

    @hookimpl
    async def unload(self, model: str) -> None:
        """Return: nothing of it is in memory here."""

    @hookimpl
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Stream the answer; what the server wants otherwise is learned from its refusals."""
        there, begun = self._there(request.model), False
        with self.api.key.kept(), self._noticing():
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
        with self._noticing():
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
            return model
        if model not in self.settings.models:
            raise ModelNotFound(model)
        return self.settings.models[model]

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
            self.roster.forget()
            raise

    def _warnings(self) -> tuple[str, ...]:
        if not self.api.key.text or self.address.secure or self.address.on_this_machine:
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
    async with AsyncExitStack() as stack:
        client = _client(settings, where, key)
        stack.push_async_callback(client.close)
        backend = OpenAIBackend(settings, where, ServerApi(client, settings, key))
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
            headers=key.headers,
            # Engines close connections at moments of their own, and a question may meet with that.
            # Far away it would cost more to make each anew.
            keep_alive=where.secure,
            connect_s=settings.connect_timeout_s,
            ca_file=ca_file,
            proxy=settings.proxy,
        )
    except (OSError, ssl.SSLError) as error:
        raise BackendError(f"ca_file {ca_file} holds no certificates: {error}") from error
