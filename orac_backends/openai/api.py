"""The routes of a server that speaks OpenAI's API, as a client."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from attrs import define, evolve, field

from orac_core import BackendError, Chunk, Embeddings, EmbedRequest, OracError

from .._http import HttpClient, Reply
from .._openai import stream_answer
from .dialect import Dialect
from .key import Key
from .listing import Listing, listing
from .refusals import ServerRefusals
from .settings import OpenAISettings
from .vectors import vectors

_OK = 200
_NO_ROUTE = (404, 405, 501)
_LIST_S = 10.0
_VERSION_S = 1.0
_MOST_LIST_BYTES = 8 << 20
_MOST_VECTOR_BYTES = 256 << 20


@define(eq=False)
class ServerApi:
    """One server.

    Everything raises `BackendUnavailable` when it can not be reached or is silent for too long, and
    what `ServerRefusals` makes of an answer that refuses.
    """

    client: HttpClient
    settings: OpenAISettings
    key: Key
    refusals: ServerRefusals = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.refusals = ServerRefusals(self.client.server)

    async def models(self) -> Listing:
        """Return the models that it lists."""
        with self.key.kept():
            reply = await self.client.request(
                "GET", "models", timeout_s=_LIST_S, limit=_MOST_LIST_BYTES
            )
            if self.settings.models and reply.status in _NO_ROUTE:
                return Listing()
            if reply.status != _OK:
                raise self.refusals.of_reply(reply)
            try:
                return listing(self._json(reply), self.settings.dialect)
            except (TypeError, LookupError) as error:
                raise self._alien("no list of models") from error

    def answer(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[Chunk, None]:
        """Return the pieces of an answer; the key is to be kept out of their errors."""
        return stream_answer(
            self.client,
            path,
            body,
            idle_s=self.settings.idle_timeout_s,
            first_s=self.settings.first_token_timeout_s,
            refusals=self.refusals,
        )

    async def embed(self, request: EmbedRequest, model: str) -> Embeddings:
        """Return the vectors of texts; they are shortened here, as not every server can."""
        body = {"model": model, "input": list(request.texts), "encoding_format": "float"}
        with self.key.kept():
            reply = await self.client.request(
                "POST",
                "embeddings",
                json=body,
                timeout_s=self.settings.first_token_timeout_s,
                limit=_MOST_VECTOR_BYTES,
            )
            if reply.status != _OK:
                raise self.refusals.of_reply(reply)
            told = reply.json()
            try:
                return vectors(told, len(request.texts), request.dimensions)
            except (TypeError, ValueError, LookupError, AttributeError) as error:
                raise self._alien(f"vectors that are none ({error})") from error

    async def version(self, dialect: Dialect) -> str | None:
        """Return what it says of its version; None where it says nothing."""
        if dialect.version is None:
            return None
        path, keys = dialect.version
        try:
            told = (await self.client.request("GET", path, timeout_s=_VERSION_S)).json()
            for key in keys:
                told = told[key]
        except (OracError, TypeError, LookupError):
            return None
        return self.key.masked(told) if isinstance(told, str) and told.isprintable() else None

    def _json(self, reply: Reply) -> Any:
        """Return an answer without the key, should the server have repeated it."""
        body = self.key.masked(reply.body.decode(errors="replace")).encode()
        return evolve(reply, body=body).json()

    def _alien(self, what: str) -> BackendError:
        return BackendError(
            f"{self.client.server} sent {what}; is `url` what OpenAI's clients call base_url?"
        )
