"""Ollama's own API as a client; see https://github.com/ollama/ollama/blob/main/docs/api.md.

A stream that has begun says 200 whatever comes, so only its last line counts: what ends without one
that is done, or reports an error, has failed.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

import orjson
from attrs import frozen

from orac_core import BackendError

from .._http import HttpClient, Reply, Upload
from .._ndjson import LineParser
from .._sse import Oversized
from . import replies
from .refusals import line_error, refusal
from .replies import Installed, Running, Shown

_OK = 200
_CREATED = 201
_NOT_FOUND = 404
_ASK_S = 10.0
_CREATE_S = 600.0
_PULL_S = 300.0

Json = dict[str, Any]
T = TypeVar("T")


@frozen(eq=False)
class OllamaApi:
    """The routes of one server, each with its answer as values.

    Everything raises `BackendUnavailable` when the server can not be reached or is silent for too
    long, and what `refusals.refusal` makes of an answer that refuses.
    """

    client: HttpClient

    async def version(self) -> str:
        """Return the server's version, such as ``0.32.15``."""
        told = await self._get("/api/version")
        if not isinstance(told, dict) or not isinstance(told.get("version"), str):
            raise self._alien()
        return str(told["version"])

    async def installed(self) -> list[Installed]:
        """Return the models on its disk."""
        return await self._listed("/api/tags", replies.installed)

    async def running(self) -> list[Running]:
        """Return the models that have a runner. It is no sign of health: runners may be dead."""
        return await self._listed("/api/ps", replies.running)

    async def show(self, model: str) -> Shown:
        """Return what it knows of a model beyond the list."""
        reply = await self.client.request(
            "POST", "/api/show", json={"model": model}, timeout_s=_ASK_S
        )
        try:
            return replies.shown(self._accepted(reply))
        except (TypeError, AttributeError, ValueError) as error:
            raise self._alien() from error

    async def has_blob(self, digest: str) -> bool:
        """Whether it has a file of that digest, ``sha256:`` and digits."""
        reply = await self.client.request("HEAD", f"/api/blobs/{digest}", timeout_s=_ASK_S)
        if reply.status not in (_OK, _NOT_FOUND):
            raise refusal(reply)
        return reply.status == _OK

    async def upload(self, digest: str, body: Upload, idle_s: float) -> None:
        """Send a file; the server checks that it has that digest and keeps nothing else."""
        async with self.client.stream(
            "POST", f"/api/blobs/{digest}", upload=body, idle_s=idle_s
        ) as stream:
            reply = await stream.whole()
        if reply.status not in (_OK, _CREATED):
            raise refusal(reply)

    async def create(self, model: str, files: Mapping[str, str]) -> AsyncGenerator[Json, None]:
        """Make a model of files that were sent, by their digests; yield how far it is."""
        body = {"model": model, "files": dict(files)}
        async with aclosing(self._work("/api/create", body, _CREATE_S)) as lines:
            async for line in lines:
                yield line

    async def dress(
        self, model: str, base: str, adapters: Mapping[str, str]
    ) -> AsyncGenerator[Json, None]:
        """Make a model of another one and of adapters that were sent; yield how far it is."""
        body = {"model": model, "from": base, "adapters": dict(adapters)}
        async with aclosing(self._work("/api/create", body, _CREATE_S)) as lines:
            async for line in lines:
                yield line

    async def pull(self, model: str) -> AsyncGenerator[Json, None]:
        """Fetch a model from the registry; yield how far it is."""
        async with aclosing(self._work("/api/pull", {"model": model}, _PULL_S)) as lines:
            async for line in lines:
                yield line

    async def load(self, body: Json, timeout_s: float, path: str = "/api/generate") -> None:
        """Ask for a model without asking it anything, and return when it is in memory."""
        reply = await self.client.request("POST", path, json=body, timeout_s=timeout_s)
        self._accepted(reply)

    async def unload(self, model: str) -> bool:
        """Ask for a model to be unloaded; it goes a little later. Whether there is such a model."""
        body = {"model": model, "keep_alive": 0, "stream": False}
        reply = await self.client.request("POST", "/api/generate", json=body, timeout_s=_ASK_S)
        if reply.status == _NOT_FOUND:
            return False
        self._accepted(reply)
        return True

    async def embed(self, body: Json, timeout_s: float) -> Json:
        """Return vectors and counts."""
        reply = await self.client.request(
            "POST", "/api/embed", json=body, timeout_s=timeout_s, limit=256 << 20
        )
        return self._accepted(reply)

    async def lines(
        self, path: str, body: Json, *, first_s: float, idle_s: float
    ) -> AsyncGenerator[list[Json], None]:
        """Post *body* and yield the lines of the answer, those of one read together.

        Raises:
            OracError: for a refusal, for a line that reports an error, and for what is no JSON.
        """
        parser = LineParser()
        async with self.client.stream(
            "POST", path, json=body, idle_s=idle_s, first_s=first_s
        ) as stream:
            if stream.status != _OK:
                raise refusal(await stream.whole())
            async for read in stream:
                if lines := self._parsed(parser, read):
                    yield lines
            if lines := self._parsed(parser, None):
                yield lines

    async def _work(self, path: str, body: Json, idle_s: float) -> AsyncGenerator[Json, None]:
        """Yield the lines of a work that has to end with success."""
        status = None
        stream = self.lines(path, body, first_s=idle_s, idle_s=idle_s)
        async with aclosing(stream) as reads:
            async for lines in reads:
                for line in lines:
                    status = line.get("status")
                    yield line
        if status != "success":
            raise BackendError(f"{self.client.server} broke off before it was done; try again")

    def _parsed(self, parser: LineParser, read: bytes | None) -> list[Json]:
        """Return the lines that *read* completes; None is the end of the stream."""
        try:
            raw = parser.end() if read is None else parser.feed(read)
            lines = [orjson.loads(line) for line in raw]
        except (Oversized, ValueError) as error:
            raise self._alien() from error
        for line in lines:
            if not isinstance(line, dict):
                raise self._alien()
            if error_told := line_error(self.client.server, line):
                raise error_told
        return lines

    async def _get(self, path: str) -> Any:
        reply = await self.client.request("GET", path, timeout_s=_ASK_S)
        if reply.status != _OK:
            raise refusal(reply)
        return reply.json()

    async def _listed(self, path: str, convert: Callable[[Json], T]) -> list[T]:
        told = await self._get(path)
        try:
            return [convert(each) for each in told["models"] or ()]
        except (TypeError, LookupError, AttributeError, ValueError) as error:
            raise self._alien() from error

    def _accepted(self, reply: Reply) -> Json:
        if reply.status != _OK:
            raise refusal(reply)
        told = reply.json()
        if not isinstance(told, dict):
            raise self._alien()
        if error := line_error(self.client.server, told):
            raise error
        return told

    def _alien(self) -> BackendError:
        return BackendError(
            f"{self.client.server} sent something that no Ollama sends; "
            "is `url` the address of an Ollama?",
        )
