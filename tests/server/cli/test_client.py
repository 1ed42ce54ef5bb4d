"""The client against a server that does what a test tells it to, good or bad."""

import asyncio
import json
import socket
import time
from contextlib import aclosing

import pytest
from aiohttp import web

from orac_core import BackendError
from orac_server.cli.client import NoServer, Refused, reach
from orac_server.cli.question import Question

ENVELOPE = {"error": {"message": "model 'x' not found; look", "code": "model_not_found"}}
CHUNK = b'event: chunk\ndata: {"text": "hello"}\n\n'
DONE = b'event: done\ndata: {"response": "hello"}\n\n'


async def live(_request):
    return web.json_response({"status": "live"})


def sends(*pieces, hang=False, status=200):
    """A handler that streams the pieces, then ends the stream or says nothing more."""

    async def handler(request):
        response = web.StreamResponse(status=status, headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        if hang:
            await asyncio.Event().wait()
        return response

    return handler


def answers(body, status=200):
    async def handler(_request):
        return web.json_response(body, status=status)

    return handler


@pytest.fixture
def url_of(aiohttp_server):
    async def start(routes, *, alive=live):
        app = web.Application()
        app.router.add_get("/v1/health/live", alive)
        for (method, path), handler in routes.items():
            app.router.add_route(method, path, handler)
        return str((await aiohttp_server(app)).make_url("")).rstrip("/")

    return start


async def events(stream):
    async with aclosing(stream):
        return [event async for event in stream]


async def prompted(url):
    async with reach(url) as server:
        return await events(server.prompt(Question("x", "hi")))


async def test_that_no_server_is_there_is_known_at_once():
    started = time.perf_counter()
    with pytest.raises(NoServer, match="Connection refused"):
        await prompted("http://127.0.0.1:9")
    assert time.perf_counter() - started < 0.3


async def test_a_place_that_swallows_connections_costs_little_too():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        place = full.getsockname()
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)  # noqa: FBT003 - the socket's own signature
            filler.connect_ex(place)
        started = time.perf_counter()
        with pytest.raises(NoServer, match="no answer in time"):
            await prompted(f"http://127.0.0.1:{place[1]}")
        for filler in fillers:
            filler.close()
    assert time.perf_counter() - started < 1


async def test_a_name_that_does_not_resolve_is_no_server():
    with pytest.raises(NoServer, match="no server answers at"):
        await prompted("http://nowhere.invalid")


@pytest.mark.parametrize("status", [404, 500])
async def test_what_answers_otherwise_is_not_orac(url_of, status):
    with pytest.raises(NoServer, match="is not ORAC"):
        await prompted(await url_of({}, alive=answers({}, status)))


async def test_a_web_page_is_not_orac(url_of):
    async def page(_request):
        return web.Response(text="<html>", content_type="text/html")

    with pytest.raises(NoServer, match="is not ORAC"):
        await prompted(await url_of({}, alive=page))


async def test_a_password_in_the_address_is_in_no_error():
    with pytest.raises(NoServer) as caught:
        await prompted("http://ann:secret@127.0.0.1:9")
    assert "secret" not in str(caught.value)


async def test_the_models_are_those_of_the_listing(url_of):
    url = await url_of({("GET", "/v1/models"): answers({"data": [{"id": "a"}]})})
    async with reach(url) as server:
        assert await server.models() == [{"id": "a"}]


async def test_the_name_of_a_model_stays_one_part_of_the_path(url_of):
    asked = []

    async def handler(request):
        asked.append(request.match_info["id"])
        return web.json_response({"id": "a"})

    async with reach(await url_of({("GET", "/v1/models/{id:.+}"): handler})) as server:
        for name in ("a", "org/a:latest", "../health", "a b?c#d%2F"):
            assert await server.model(name) == {"id": "a"}
    assert asked == ["a", "org/a:latest", "../health", "a b?c#d%2F"]


@pytest.mark.parametrize("status", [200, 503])
async def test_health_is_told_whether_it_is_good_or_bad(url_of, status):
    url = await url_of({("GET", "/v1/health"): answers({"status": "any"}, status)})
    async with reach(url) as server:
        assert await server.health() == {"status": "any"}


async def test_a_server_too_busy_to_say_how_it_is_is_an_error(url_of):
    url = await url_of({("GET", "/v1/health"): answers(ENVELOPE, 503)})
    async with reach(url) as server:
        with pytest.raises(Refused, match="not found; look"):
            await server.health()


async def test_an_answer_comes_in_chunks_and_ends_with_done(url_of):
    url = await url_of({("POST", "/v1/prompt"): sends(CHUNK, CHUNK, DONE)})
    assert await prompted(url) == [
        ("chunk", {"text": "hello"}),
        ("chunk", {"text": "hello"}),
        ("done", {"response": "hello"}),
    ]


async def test_an_answer_of_many_megabytes_arrives(url_of):
    text = "x" * 5_000_000
    done = f"event: done\ndata: {json.dumps({'response': text})}\n\n".encode()
    url = await url_of({("POST", "/v1/prompt"): sends(done)})
    assert await prompted(url) == [("done", {"response": text})]


async def test_the_question_is_sent_without_what_was_not_said(url_of):
    received = {}

    async def handler(request):
        received.update(await request.json())
        return await sends(DONE)(request)

    await prompted(await url_of({("POST", "/v1/prompt"): handler}))
    assert received == {"model": "x", "prompt": "hi", "stream": True}


async def test_an_error_before_the_stream_is_told_in_the_words_of_the_server(url_of):
    url = await url_of({("POST", "/v1/prompt"): answers(ENVELOPE, 404)})
    with pytest.raises(Refused, match="model 'x' not found; look") as caught:
        await prompted(url)
    assert caught.value.code == "model_not_found"


async def test_every_fault_of_a_request_is_told_with_its_place(url_of):
    details = [
        {"path": "model", "message": "is missing"},
        {"path": "options.seed", "message": "must be whole"},
    ]
    envelope = {"error": {"message": "model: is missing", "code": "x", "details": details}}
    url = await url_of({("POST", "/v1/prompt"): answers(envelope, 400)})
    with pytest.raises(Refused, match="^model: is missing\noptions.seed: must be whole$"):
        await prompted(url)


async def test_an_error_within_the_stream_ends_it(url_of):
    error = f"event: error\ndata: {json.dumps(ENVELOPE)}\n\n".encode()
    url = await url_of({("POST", "/v1/prompt"): sends(CHUNK, error)})
    with pytest.raises(Refused, match="not found"):
        await prompted(url)


async def test_a_stream_that_just_ends_is_an_error(url_of):
    url = await url_of({("POST", "/v1/prompt"): sends(CHUNK)})
    with pytest.raises(BackendError, match="broke off before it was done"):
        await prompted(url)


async def test_a_connection_that_breaks_within_the_stream_is_an_error(url_of):
    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(CHUNK)
        request.transport.abort()
        return response

    with pytest.raises(BackendError, match="went away"):
        await prompted(await url_of({("POST", "/v1/prompt"): handler}))


@pytest.mark.parametrize("data", [b"data: {\n\n", b"data: 1\n\n", b"data: \xff\n\n"])
async def test_events_that_are_none_of_oracs_are_an_error(url_of, data):
    with pytest.raises(BackendError, match="none of ORAC's answers"):
        await prompted(await url_of({("POST", "/v1/prompt"): sends(data)}))


async def test_a_listing_without_data_is_an_error(url_of):
    async with reach(await url_of({("GET", "/v1/models"): answers({})})) as server:
        with pytest.raises(BackendError, match="none of ORAC's answers"):
            await server.models()


async def test_a_failure_without_the_envelope_is_told_by_its_status(url_of):
    async def gateway(_request):
        return web.Response(status=502, text="<html>bad gateway")

    url = await url_of({("POST", "/v1/models/unload"): gateway})
    async with reach(url) as server:
        with pytest.raises(Refused, match="the server answered 502 Bad Gateway"):
            await server.unload("x")


async def test_a_load_tells_its_progress(url_of):
    progress = b'event: progress\ndata: {"stage": "read"}\n\n'
    url = await url_of({("POST", "/v1/models/load"): sends(progress, b"data: {}\n\n", DONE)})
    async with reach(url) as server:
        told = await events(server.load("x"))
    assert [name for name, _ in told] == ["progress", "message", "done"]


async def test_leaving_a_stream_closes_the_connection(url_of):
    left = asyncio.Event()

    async def handler(request):
        try:
            return await sends(CHUNK, hang=True)(request)
        finally:
            left.set()

    url = await url_of({("POST", "/v1/prompt"): handler})
    async with reach(url) as server, aclosing(server.prompt(Question("x", "hi"))) as stream:
        async for _ in stream:
            break
    await asyncio.wait_for(left.wait(), 5)
