"""The least that a gateway in Python can be: aiohttp, httpx through aiohttp, and orjson.

It decodes and encodes every request, answer and token, writes together what came in one read, and
does nothing else: no checks, no queue, no limits, no errors.

    python benchmarks/gateway/bare.py --port 8001 --upstream http://127.0.0.1:9000
"""

import argparse
import asyncio
from collections.abc import Callable
from contextlib import aclosing

import httpx
import httpx_aiohttp
import orjson
from aiohttp import web

CLIENT = web.AppKey("CLIENT", httpx.AsyncClient)
UPSTREAM = web.AppKey("UPSTREAM", str)
PATH = "/v1/chat/completions"
JSON = "application/json"


async def complete(request: web.Request) -> web.StreamResponse:
    """Pass a request on, and its answer back."""
    body = orjson.loads(await request.read())
    client, url = request.app[CLIENT], request.app[UPSTREAM]
    if body.get("stream"):
        return await _streamed(request, client, url, body)
    reply = await client.post(url, content=orjson.dumps(body), headers={"content-type": JSON})
    return web.Response(body=orjson.dumps(orjson.loads(reply.content)), content_type=JSON)


async def _streamed(
    request: web.Request, client: httpx.AsyncClient, url: str, body: object
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    content, headers = orjson.dumps(body), {"content-type": JSON}
    rest = b""
    async with client.stream("POST", url, content=content, headers=headers) as reply:
        await response.prepare(request)
        async with aclosing(reply.aiter_raw()) as reads:  # type: ignore[type-var]
            async for read in reads:
                *events, rest = (rest + read).split(b"\n\n")
                if events:
                    await response.write(b"".join(map(_again, events)))
    await response.write_eof()
    return response


def _again(event: bytes) -> bytes:
    data = event.removeprefix(b"data: ")
    if data == b"[DONE]":
        return b"data: [DONE]\n\n"
    return b"data: %b\n\n" % orjson.dumps(orjson.loads(data))


async def _serve(port: int, upstream: str) -> None:
    transport = httpx_aiohttp.AiohttpTransport(limits=httpx.Limits(max_connections=4096))
    async with httpx.AsyncClient(transport=transport, timeout=600) as client:
        app = web.Application()
        app[CLIENT], app[UPSTREAM] = client, upstream + PATH
        app.router.add_post(PATH, complete)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
        await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="The least that a gateway in Python can be.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="uvloop")
    told = parser.parse_args()
    with asyncio.Runner(loop_factory=_loop_factory(told.loop)) as runner:
        runner.run(_serve(told.port, told.upstream))


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if name == "asyncio":
        return None
    import uvloop  # noqa: PLC0415 - only when asked for

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


if __name__ == "__main__":
    main()
