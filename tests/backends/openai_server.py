"""Servers that speak OpenAI's API: one whose every answer a test decides, and the real engine."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from attrs import define, field, frozen

from orac_backends.openai import OpenAISettings
from orac_backends.openai.backend import OpenAIBackend, open_backend
from orac_core import Host, ModelFiles

KEY = "sk-orac-0123456789abcdef"
ENVIRON = {"HOSTED": KEY}
LLAMA_SERVER = Path(__file__).with_name("fake_llama_server.py")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@frozen
class Seen:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict


@define(eq=False)
class Scripted:
    """Answers what a test says: ``models`` is its list, ``answers`` are the answers to come.

    ``always`` answers everything instead.
    """

    models: list[dict] | None = field(factory=lambda: [{"id": "small"}])
    answers: list[Handler] = field(factory=list)
    seen: list[Seen] = field(factory=list)
    always: Handler | None = None
    url: str = ""
    port: int | None = None
    _server: TestServer | None = field(default=None, init=False)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = orjson.loads(raw) if raw else {}
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append(Seen(request.method, request.path, headers, body))
        if self.always is not None:
            return await self.always(request)
        if request.path.endswith("/models"):
            if self.models is None:
                return refused(404, "no such route")
            return web.json_response({"object": "list", "data": self.models})
        if not self.answers:
            return refused(404, "nothing here")
        return await self.answers.pop(0)(request)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Scripted"]:
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    async def start(self) -> None:
        """Listen; again where it did before."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        self._server = TestServer(app, port=self.port)
        await self._server.start_server()
        self.port = self._server.port
        self.url = str(self._server.make_url("")).rstrip("/")

    async def stop(self) -> None:
        """End, and close every connection."""
        if self._server is not None:
            await self._server.close()

    def asked(self, path: str) -> list[Seen]:
        return [each for each in self.seen if each.path.endswith(path)]


def refused(status: int, text: str, **headers: str) -> web.Response:
    told = {"error": {"message": text, "type": "x", "param": None, "code": None}}
    return web.json_response(told, status=status, headers=headers)


def refusing(status: int, text: str, **headers: str) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return refused(status, text, **headers)

    return answer


def frames(*told: dict | str) -> bytes:
    return b"".join(
        b"data: " + (it.encode() if isinstance(it, str) else orjson.dumps(it)) + b"\n\n"
        for it in told
    )


def piece(text: str | None = None, reason: str | None = None, **more: object) -> dict:
    delta = {} if text is None else {"content": text}
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}


WHOLE = frames(
    piece("Hello "),
    piece("you"),
    piece(reason="stop"),
    {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}},
    "[DONE]",
)


def saying(body: bytes = WHOLE, content_type: str = "text/event-stream") -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=content_type)

    return answer


@asynccontextmanager
async def opened(
    url: str, *, environ: Mapping[str, str] = ENVIRON, **settings: object
) -> AsyncIterator[OpenAIBackend]:
    host = Host(ModelFiles(()), environ)
    async with open_backend(OpenAISettings(url, **settings), host) as backend:
        yield backend


@contextmanager
def llama_server(model: Path, context: int = 2048, *, key: str = KEY) -> Iterator[tuple[str, int]]:
    """Run the real engine's own server; yield its address and its process."""
    port = unused_port()
    fixed = "--n-gpu-layers 0 --threads 1 --batch-size 512 --sse-ping-interval 1 --cache-ram 0"
    words = f"--model {model} --host 127.0.0.1 --port {port} --ctx-size {context} --parallel 1"
    words = f"{words} {fixed} --reasoning-budget 0 --offline --no-ui"
    process = subprocess.Popen(
        [sys.executable, "-P", str(LLAMA_SERVER), *words.split()],
        env={**os.environ, "LLAMA_API_KEY": key},
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        try:
            _until_up(f"http://127.0.0.1:{port}/health")
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.kill()


def _until_up(url: str) -> None:
    ends_at = monotonic() + 30
    while monotonic() < ends_at:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        sleep(0.02)
    raise AssertionError(f"{url} did not come up")
