"""A running ORAC, spoken to over HTTP."""

import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from http import HTTPStatus
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp import hdrs
from attrs import define

from orac_core import BackendError, OracError

from .credentials import presenting
from .options import shown
from .question import Question
from .setup import Setup
from .sse import EventReader

Json = dict[str, Any]

CONNECT_S = 0.25
"""A server that is there takes the connection at once; one that is not must cost little."""

PROBE_S = 5.0
"""A server that is busy may take this long to say that it lives."""

SILENCE_S = 1900.0
"""Longest silence of a server at work: a little more than its own longest deadline."""

WHERE = "put the right one into ORAC_TOKEN; `orac serve` says where it is when it starts"
"""What to do where the server wants another token."""


class NoServer(OracError):
    """No ORAC answers at the address."""


class Refused(OracError):
    """The server answered with an error.

    Attributes:
        code: The error's code in the HTTP interface; None when it came from something else.
    """

    def __init__(self, message: str, code: str | None = None) -> None:
        self.code = code
        super().__init__(message)


@define(eq=False)
class Server:
    """A running ORAC. Make one with `reach`.

    Every method raises `Refused` with the server's own words when it answers with an error, and
    `BackendError` when it goes away.
    """

    url: str
    _session: aiohttp.ClientSession

    async def models(self) -> list[Json]:
        """Return the models as ``GET /v1/models`` lists them."""
        with self._translating():
            async with self._session.get(f"{self.url}/v1/models") as response:
                models: list[Json] = (await _answer(response))["data"]
        return models

    async def model(self, name: str) -> Json:
        """Return one model as ``GET /v1/models/{id}`` shows it."""
        path = f"/v1/models/{quote(name, safe='', errors='surrogateescape')}"
        with self._translating():
            async with self._session.get(self.url + path) as response:
                return await _answer(response)

    async def health(self) -> Json:
        """Return what ``GET /v1/health`` says, also when that is ``unhealthy``."""
        with self._translating():
            async with self._session.get(f"{self.url}/v1/health") as response:
                unhealthy = response.status == HTTPStatus.SERVICE_UNAVAILABLE
                body = _parsed(await response.read()) if unhealthy else {}
                return body if "status" in body else await _answer(response)

    async def silent(self) -> dict[str, str]:
        """Return why each backend that can not be used can not, as ``GET /v1/health`` says."""
        with self._translating():
            told = (await self.health())["instances"].items()
            return {name: each["message"] for name, each in told if not each["usable"]}

    async def plan(self, model: str, setup: Setup) -> Json:
        """Return whether a model would fit into memory, as ``POST /v1/plan`` says."""
        return await self._posted("/v1/plan", {"model": model, **setup.body})

    async def load(
        self, model: str, options: Mapping[str, Any] = MappingProxyType({})
    ) -> AsyncGenerator[tuple[str, Json], None]:
        """Load a model: its ``progress`` events, then ``done`` with what was loaded.

        Args:
            model: Name of the model.
            options: Further keys of the body.
        """
        body = {"model": model, **options, "stream": True}
        async with aclosing(self._stream("/v1/models/load", body)) as events:
            async for event in events:
                yield event

    async def provision(self, body: Mapping[str, Any]) -> AsyncGenerator[tuple[str, Json], None]:
        """Make models be there: ``progress`` events, then ``done`` with what was done for each."""
        path = "/v1/models/provision"
        async with aclosing(self._stream(path, {**body, "stream": True})) as events:
            async for event in events:
                yield event

    async def unload(self, model: str) -> Json:
        """Unload a model; return the server's answer."""
        return await self._posted("/v1/models/unload", {"model": model})

    async def prompt(self, question: Question) -> AsyncGenerator[tuple[str, Json], None]:
        """Answer: its ``chunk`` events, then ``done`` with the whole answer."""
        body = {**question.body, "stream": True}
        async with aclosing(self._stream("/v1/prompt", body)) as events:
            async for event in events:
                yield event

    async def examined(self, body: Mapping[str, Any]) -> AsyncGenerator[tuple[str, Json], None]:
        """Find out why a model is slow: ``progress`` events, then ``done`` with what was found."""
        path = "/v1/doctor/degradation"
        async with aclosing(self._stream(path, {**body, "stream": True})) as events:
            async for event in events:
                yield event

    async def bench(self, body: Mapping[str, Any]) -> AsyncGenerator[tuple[str, Json], None]:
        """Measure: its ``progress`` events, then ``done`` with the document."""
        async with aclosing(self._stream("/v1/benchmark", {**body, "stream": True})) as events:
            async for event in events:
                yield event

    async def benchmarks(self, model: str | None = None) -> Json:
        """Return the runs that are kept, as ``GET /v1/benchmarks`` lists them."""
        return await self._got("/v1/benchmarks", {"model": model} if model else {})

    async def benchmark(self, name: str, *, samples: bool = True) -> Json:
        """Return one run, as ``GET /v1/benchmarks/{id}`` shows it."""
        return await self._got(_run(name), {"samples": "true" if samples else "false"})

    async def exported(self, name: str, form: str, against: str | None = None) -> str:
        """Return one run as text in another format, or what has changed from another to it."""
        with self._translating():
            url, params = self.url + _run(name), {"format": form}
            params |= {"against": against} if against else {}
            async with self._session.get(url, params=params) as response:
                if not response.ok:
                    raise await _refusal(response)
                return (await response.read()).decode()

    async def comparison(self, old: str, new: str) -> Json:
        """Return what has changed from one run to another."""
        return await self._got(_run(new), {"against": old})

    async def recommendations(self) -> Json:
        """Return which models to take for what, as ``GET /v1/recommendations`` does."""
        return await self._got("/v1/recommendations", {})

    async def _got(self, path: str, params: Mapping[str, str]) -> Json:
        with self._translating():
            async with self._session.get(self.url + path, params=params) as response:
                return await _answer(response)

    async def _posted(self, path: str, body: Mapping[str, Any]) -> Json:
        with self._translating():
            async with self._session.post(self.url + path, json=body) as response:
                return await _answer(response)

    async def _stream(
        self, path: str, body: Mapping[str, Any]
    ) -> AsyncGenerator[tuple[str, Json], None]:
        """Yield the events of a stream up to its ``done``; anything else that ends it raises."""
        with self._translating():
            async with self._session.post(self.url + path, json=body) as response:
                if not response.ok:
                    raise await _refusal(response)
                async with aclosing(_events(response)) as events:
                    async for name, data in events:
                        if name == "error":
                            raise _refused(data, "the server failed")
                        yield name, data
                        if name == "done":
                            return
                raise BackendError("the stream from the server broke off before it was done")

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = _reason(error)
            raise BackendError(f"the server at {shown(self.url)} went away: {reason}") from error
        except (ValueError, KeyError) as error:
            text = f"what the server at {shown(self.url)} sent is none of ORAC's answers: {error}"
            raise BackendError(text) from error


@asynccontextmanager
async def reach(url: str) -> AsyncIterator[Server]:
    """Open a session with the server at *url*.

    Raises:
        NoServer: when none answers there; known within 0.3 s where nothing listens.
        Refused: when it does not answer to that name.
        ConfigurationError: when a variable holds what can be no token.
    """
    limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENCE_S)
    async with aiohttp.ClientSession(timeout=limits, middlewares=presenting(url)) as session:
        await _probe(session, url)
        yield Server(url, session)


async def _probe(session: aiohttp.ClientSession, url: str) -> None:
    limits = aiohttp.ClientTimeout(total=PROBE_S, connect=CONNECT_S)
    try:
        async with session.get(f"{url}/v1/health/live", timeout=limits) as response:
            in_json = response.content_type == "application/json"
            if response.status == HTTPStatus.FORBIDDEN and in_json:
                raise await _refusal(response)
            if not response.ok or not in_json:
                raise NoServer(f"what answers at {shown(url)} is not ORAC")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise NoServer(f"no server answers at {shown(url)} ({_reason(error)})") from error


def _run(name: str) -> str:
    return f"/v1/benchmarks/{quote(name, safe='~', errors='surrogateescape')}"


async def _events(
    response: aiohttp.ClientResponse,
) -> AsyncGenerator[tuple[str, Json], None]:
    reader = EventReader()
    async for received in response.content.iter_any():
        for event in reader.feed(received):
            yield event.name, _parsed(event.data)


async def _answer(response: aiohttp.ClientResponse) -> Json:
    if not response.ok:
        raise await _refusal(response)
    return _parsed(await response.read())


async def _refusal(response: aiohttp.ClientResponse) -> Refused:
    otherwise = f"the server answered {response.status} {response.reason}"
    if response.status == HTTPStatus.UNAUTHORIZED:
        sent = hdrs.AUTHORIZATION in response.request_info.headers
        why = "does not take the token that was sent" if sent else "wants a token"
        return Refused(f"the server {why}: {WHERE}", "unauthorized")
    try:
        return _refused(_parsed(await response.read()), otherwise)
    except ValueError:
        return Refused(otherwise)


def _refused(envelope: Json, otherwise: str) -> Refused:
    """Make one sentence of the server's error envelope, and a line for each of its details."""
    error = envelope.get("error")
    if not isinstance(error, dict) or not error.get("message"):
        return Refused(otherwise)
    message = str(error["message"])
    if error.get("code") == "forbidden":
        message = f"{message}: {WHERE}"
    details = (f"{each.get('path')}: {each.get('message')}" for each in error.get("details") or ())
    more = (detail for detail in details if detail not in message)
    return Refused("\n".join((message, *more)), error.get("code"))


def _parsed(data: str | bytes) -> Json:
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError("it did not answer with a JSON object")  # noqa: TRY004 - as bad JSON is
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
