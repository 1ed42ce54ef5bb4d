"""The HTTP client: no redirects, no proxies, bounded, and its errors are ORAC's."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from orac_backends._http import HttpClient, Upload
from orac_core import BackendError, BackendUnavailable, InvalidRequest
from tests.waiting import until


@asynccontextmanager
async def talking_to(handler, **options):
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        client = HttpClient.open("a server", str(server.make_url("")), **options)
        try:
            yield client
        finally:
            await client.close()


async def test_json_goes_there_and_back():
    async def handler(request):
        return web.json_response({"got": await request.json(), "key": request.headers["x-key"]})

    async with talking_to(handler, headers={"x-key": "k"}) as client:
        reply = await client.request("POST", "/a", json={"ä": 1})
    assert reply.json() == {"got": {"ä": 1}, "key": "k"}


async def test_a_redirect_is_not_followed_so_a_key_stays_here():
    seen = []

    async def handler(request):
        seen.append(request.path)
        raise web.HTTPFound("/elsewhere")

    async with talking_to(handler, headers={"authorization": "Bearer k"}) as client:
        assert (await client.request("GET", "/a")).status == 302
    assert seen == ["/a"]


async def test_a_proxy_in_the_environment_is_not_taken(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def handler(request):
        return web.Response(text="direct")

    async with talking_to(handler) as client:
        assert (await client.request("GET", "/")).body == b"direct"


async def test_a_server_that_is_not_there_is_unavailable():
    client = HttpClient.open("a server", f"http://127.0.0.1:{unused_port()}")
    with pytest.raises(BackendUnavailable, match="cannot connect to a server: Connection refused;"):
        await client.request("GET", "/")
    await client.close()


async def test_a_server_whose_name_is_not_known_is_unavailable():
    client = HttpClient.open("a server", "http://nowhere.invalid")
    with pytest.raises(BackendUnavailable, match=r"a server: its name is not known \("):
        await client.request("GET", "/")
    await client.close()


async def test_a_socket_that_is_not_there_is_unavailable(tmp_path):
    client = HttpClient.open("a server", "http://x", socket=tmp_path / "none.sock")
    with pytest.raises(BackendUnavailable, match="cannot connect to a server"):
        await client.request("GET", "/")
    await client.close()


async def test_a_silent_server_is_unavailable():
    release = asyncio.Event()

    async def handler(request):
        await release.wait()
        return web.Response()

    async with talking_to(handler) as client:
        with pytest.raises(BackendUnavailable, match=r"silent for 0\.1 s"):
            await client.request("GET", "/", timeout_s=0.1)
        release.set()


async def test_a_server_that_stops_in_the_middle_is_unavailable():
    release = asyncio.Event()

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begin")
        await release.wait()
        return response

    async with talking_to(handler) as client:
        with pytest.raises(BackendUnavailable, match=r"silent for 0\.1 s"):
            async with client.stream("GET", "/", idle_s=0.1) as stream:
                assert [read async for read in stream]
        release.set()


async def test_a_connection_that_breaks_is_unavailable():
    async def handler(request):
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"begin")
        request.transport.abort()
        return response

    async with talking_to(handler) as client:
        with pytest.raises(BackendUnavailable, match="connection to a server broke"):
            await client.request("GET", "/")


async def test_leaving_before_the_end_closes_the_connection():
    left = asyncio.Event()

    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begin")
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    async with talking_to(handler) as client:
        async with client.stream("GET", "/", idle_s=5) as stream:
            assert await anext(stream) == b"begin"
        await asyncio.wait_for(left.wait(), 5)


async def test_a_server_may_take_longer_to_begin_than_between_two_parts():
    release = asyncio.Event()

    async def handler(request):
        await release.wait()
        return web.Response(text="late")

    async with talking_to(handler) as client:
        asyncio.get_running_loop().call_later(0.2, release.set)
        async with client.stream("GET", "/", idle_s=0.1, first_s=5) as stream:
            assert (await stream.whole()).body == b"late"


async def test_a_body_is_sent_as_it_is_read_with_its_length():
    async def handler(request):
        headers = request.headers
        told = headers.get("content-length"), headers["content-type"], await request.text()
        return web.json_response(told)

    async def pieces():
        yield b"one, "
        yield b"two"

    upload = Upload(pieces(), 8)
    async with (
        talking_to(handler) as client,
        client.stream("POST", "/", upload=upload, idle_s=5) as stream,
    ):
        reply = await stream.whole()
    assert reply.json() == ["8", "application/octet-stream", "one, two"]


async def test_what_comes_compressed_is_left_as_it_is():
    async def handler(request):
        return web.Response(body=b"packed", headers={"Content-Encoding": "gzip"})

    async with talking_to(handler) as client:
        assert (await client.request("GET", "/")).body == b"packed"


async def test_a_connection_that_does_not_come_in_time_is_unavailable():
    release = asyncio.Event()

    async def handler(request):
        await release.wait()
        return web.Response()

    async with talking_to(handler, connect_s=0.1) as client:
        client._session.connector._limit = 1
        first = asyncio.create_task(client.request("GET", "/"))
        await until(lambda: client._session.connector._acquired)
        with pytest.raises(BackendUnavailable, match="connection to a server broke"):
            await client.request("GET", "/")
        release.set()
        await first


async def test_what_is_not_http_is_unavailable():
    async def handler(reader, writer):
        writer.write(b"SSH-2.0-OpenSSH_9\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = HttpClient.open("a server", f"http://127.0.0.1:{port}")
        with pytest.raises(BackendUnavailable):
            await client.request("GET", "/")
        await client.close()


async def test_an_answer_without_end_is_cut_off():
    async def handler(request):
        return web.Response(body=b"x" * 5000)

    async with talking_to(handler) as client:
        with pytest.raises(BackendError, match="more than 1000 bytes"):
            await client.request("GET", "/", limit=1000)


async def test_what_cannot_be_json_is_the_callers_mistake():
    client = HttpClient.open("a server", "http://127.0.0.1:1")
    with pytest.raises(InvalidRequest, match="JSON"):
        await client.request("POST", "/", json={"a": "\ud800"})
    await client.close()


async def test_an_answer_that_is_not_json_says_so():
    async def handler(request):
        return web.Response(text="<html>")

    async with talking_to(handler) as client:
        with pytest.raises(BackendError, match="not JSON"):
            (await client.request("GET", "/")).json()


async def test_connections_are_used_again_when_that_is_wanted():
    peers = set()

    async def handler(request):
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response(text="x")

    async with talking_to(handler) as client:
        for _ in range(5):
            await client.request("GET", "/")
    assert len(peers) == 1
