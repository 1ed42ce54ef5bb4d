"""The least of a client, to ask the imitation what the official one does not."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from attrs import define

from .server import FakeOllama

WITHIN_S = 20


@define(eq=False)
class Client:
    http: httpx.AsyncClient

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.http.post(path, json=body)

    async def load(self, model: str, **body: Any) -> None:
        (await self.post("/api/generate", model=model, **body)).raise_for_status()

    async def ps(self) -> list[dict[str, Any]]:
        return (await self.http.get("/api/ps")).json()["models"]

    async def names(self) -> list[str]:
        return [row["name"] for row in await self.ps()]

    @asynccontextmanager
    async def stream(self, model: str, prompt: str = "x", **body: Any) -> AsyncIterator["Lines"]:
        asked = {"model": model, "prompt": prompt, **body}
        async with self.http.stream("POST", "/api/generate", json=asked) as response:
            yield Lines(response, response.aiter_lines())


@define(eq=False)
class Lines:
    """The lines of an answer, one after the other."""

    response: httpx.Response
    _lines: AsyncIterator[str]

    async def next(self) -> dict[str, Any]:
        return json.loads(await anext(self._lines))

    async def rest(self) -> list[dict[str, Any]]:
        return [json.loads(line) async for line in self._lines]


@asynccontextmanager
async def client_of(fake: FakeOllama) -> AsyncIterator[Client]:
    async with httpx.AsyncClient(base_url=fake.url, timeout=WITHIN_S) as http:
        yield Client(http)
