"""The kind ``openai`` against a server whose every answer a test decides: faults, keys, time."""

import asyncio
import logging
import ssl
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from orac_core import (
    BackendError,
    BackendUnavailable,
    CallPiece,
    EmbedRequest,
    InvalidRequest,
    ModelNotFound,
    ModelState,
    OracError,
    QueueFull,
    Usage,
)
from tests.backends.driving import ask, chat, load, raw, words
from tests.backends.openai_server import (
    KEY,
    WHOLE,
    Scripted,
    frames,
    opened,
    piece,
    refusing,
    saying,
)
from tests.fault_proxy import FaultProxy, Toxic

ASKED = chat("small")
TLS = Path(__file__).parents[1] / "data/tls"


@pytest.fixture
async def server():
    async with Scripted().serving() as scripted:
        yield scripted


@pytest.fixture
async def backend(server):
    async with opened(server.url, key_env="HOSTED", idle_timeout_s=5) as found:
        yield found


async def test_models_are_ready_as_long_as_they_are_listed(server, backend):
    (info,) = await backend.models()
    assert (info.id, info.state, info.remote) == ("small", ModelState.READY, True)
    assert [stage.stage for stage in await load(backend, "small")] == ["validate"]
    with pytest.raises(ModelNotFound):
        await load(backend, "large")
    await backend.unload("small")
    assert (await backend.models())[0].state is ModelState.READY


async def test_the_list_is_asked_for_once_by_many_and_not_again_at_once(server, backend):
    await asyncio.gather(*(backend.models() for _ in range(9)), backend.health())
    await backend.health()
    assert len(server.asked("/models")) == 1


async def test_who_gives_up_waiting_leaves_the_list_to_the_next(server, backend):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await backend.models()
    assert await backend.models()
    assert len(server.asked("/models")) == 1


async def test_a_server_without_a_list_serves_what_the_settings_name(server):
    server.models = None
    server.answers = [saying()]
    async with opened(server.url, models={"mine": "theirs"}) as backend:
        (info,) = await backend.models()
        assert info.state is ModelState.READY
        assert (await backend.health()).usable
        assert words(await ask(backend, chat("mine"))) == "Hello you"
        with pytest.raises(ModelNotFound):
            await ask(backend, chat("theirs"))
    assert server.asked("/completions")[0].body["model"] == "theirs"


async def test_a_server_without_a_list_and_without_names_is_not_usable(server):
    server.models = None
    async with opened(server.url) as backend:
        assert not (await backend.health()).usable
        with pytest.raises(BackendUnavailable, match="no such route"):
            await backend.models()


async def test_a_list_that_is_not_wanted_is_not_asked_for(server):
    async with opened(server.url, models={"a": "b"}, list_models=False) as backend:
        assert (await backend.health()).usable
        await load(backend, "a")
    assert server.seen == []


async def test_a_model_that_the_server_lacks_is_not_loaded(server):
    async with opened(server.url, models={"a": "b"}) as backend:
        with pytest.raises(BackendError, match="does not list 'b'"):
            await load(backend, "a")


async def test_an_answer_comes_in_pieces_with_its_usage(server, backend):
    server.answers = [saying()]
    chunks = await ask(backend, ASKED)
    assert words(chunks) == "Hello you"
    assert chunks[-1].usage == Usage(7, 2, None)
    (seen,) = server.asked("/chat/completions")
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.path == "/v1/chat/completions"


async def test_line_ends_comments_and_a_missing_closing_mark_make_no_difference(server, backend):
    body = b": ping\r\n\r\n" + frames(piece("a"), piece("b", "stop")).replace(b"\n", b"\r\n")
    server.answers = [saying(body)]
    assert words(await ask(backend, ASKED)) == "ab"


async def test_a_server_that_does_not_stream_is_understood(server, backend):
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": "hi", "tool_calls": [call]}
    whole = {
        "choices": [{"message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 1},
    }
    text = {"choices": [{"text": "raw", "finish_reason": "length"}]}
    server.answers = [saying(orjson.dumps(it), "application/json") for it in (whole, text)]
    first, last = await ask(backend, ASKED)
    assert (first.text, first.calls) == ("hi", (CallPiece(0, "{}", "c", "f"),))
    assert (last.finish_reason, last.usage.prompt_tokens) == ("tool_calls", 1)
    assert words(await ask(backend, raw("small"))) == "raw"


async def test_probabilities_of_a_text_may_come_as_lists(server, backend):
    told = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": [{"b": -2.0, "a": -0.5}]}
    choice = {"text": "a", "logprobs": told, "finish_reason": "stop"}
    server.answers = [saying(frames({"choices": [choice]}))]
    first, _ = await ask(backend, raw("small"))
    assert [it.text for it in first.tokens[0].top] == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (frames(piece("a")), "broke its answer off"),
        (frames(piece("a"), "[DONE]"), "broke its answer off"),
        (frames(piece("a", "content_filter")), "filter"),
        (frames(piece("a", "abort")), "gave its answer up"),
        (frames(piece("a"), {"error": {"message": "told so"}}), "told so"),
        (b"data: <html>\n\n", "not an answer"),
        (b"data: " + b"x" * (2 << 20), "longer than"),
    ],
)
async def test_an_answer_that_is_not_whole_is_an_error(server, backend, body, told):
    server.answers = [saying(body)]
    with pytest.raises(BackendError, match=told):
        await ask(backend, ASKED)


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"choices": []}', b'{"error": {"message": "m"}}'])
async def test_an_answer_in_one_piece_that_is_none_is_an_error(server, backend, body):
    server.answers = [saying(body, "application/json")]
    with pytest.raises(BackendError):
        await ask(backend, ASKED)


async def test_what_a_server_wants_otherwise_is_learned_once(server, backend):
    server.answers = [
        refusing(400, "Unsupported parameter: use max_completion_tokens"),
        refusing(422, "stream_options is not permitted"),
        saying(),
        saying(),
    ]
    request = chat("small", max_tokens=5)
    for _ in range(2):
        assert words(await ask(backend, request)) == "Hello you"
    bodies = [each.body for each in server.asked("/completions")]
    assert len(bodies) == 4
    assert bodies[-1]["max_completion_tokens"] == 5
    assert "stream_options" not in bodies[-1]


async def test_a_refusal_that_teaches_nothing_is_the_callers(server, backend):
    server.answers = [refusing(400, "stream_options"), refusing(400, "stream_options")]
    with pytest.raises(InvalidRequest, match="stream_options"):
        await ask(backend, ASKED)


async def test_nothing_is_asked_again_once_an_answer_has_begun(server, backend):
    heard = asyncio.Event()

    async def broken(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(frames(piece("a")))
        await heard.wait()
        await response.write(frames({"error": {"code": 400, "message": "stream_options"}}))
        return response

    server.answers = [broken, saying()]
    async with aclosing(backend.generate(ASKED)) as chunks:
        assert (await anext(chunks)).text == "a"
        heard.set()
        with pytest.raises(InvalidRequest):
            await anext(chunks)
    assert len(server.answers) == 1


async def test_a_server_that_is_busy_says_when_to_come_back(server, backend):
    server.answers = [refusing(429, "slow down", **{"Retry-After": "9"})]
    with pytest.raises(QueueFull, match="slow down") as found:
        await ask(backend, ASKED)
    assert found.value.retry_after_s == 9.0


async def test_a_redirect_is_an_error_and_nobody_else_gets_the_key(server):
    async with Scripted().serving() as thief:

        async def sent_on(request):
            raise web.HTTPTemporaryRedirect(f"{thief.url}{request.path}")

        server.answers = [sent_on, sent_on]
        async with opened(server.url, key_env="HOSTED") as backend:
            with pytest.raises(BackendError, match="redirect, which ORAC never follows"):
                await ask(backend, ASKED)
            with pytest.raises(BackendError, match="redirect"):
                await backend.embed(EmbedRequest("small", ("a",)))
        assert thief.seen == []


async def test_a_key_that_a_server_repeats_stands_in_no_error_and_no_log(server, caplog):
    caplog.set_level(logging.DEBUG)
    server.models = [{"id": "small", "instance": "a", "kind": "b", "state": "failed"}]
    server.models[0]["state_reason"] = f"key {KEY}"
    number = {"choices": [{"logprobs": {"content": [{"token": "a", "logprob": KEY}]}}]}
    told = [
        refusing(401, f"wrong key {KEY}"),
        refusing(400, f"wrong key {KEY}"),
        refusing(500, f"wrong key {KEY}"),
        saying(frames({"error": {"message": KEY}})),
        saying(frames(number)),
        saying(orjson.dumps({"error": KEY}), "application/json"),
    ]
    server.answers = list(told)
    async with opened(server.url, key_env="HOSTED") as backend:
        shown = [str(await backend.models()), repr(backend), str(await backend.health())]
        for _ in told:
            with pytest.raises(OracError) as found:
                await ask(backend, ASKED)
            shown.append(f"{found.value!r} {found.value.__cause__!r} {found.value.__context__!r}")
        server.answers = [refusing(403, KEY), saying(b'{"data": "%s"}' % KEY.encode())]
        for _ in range(2):
            with pytest.raises(OracError) as found:
                await backend.embed(EmbedRequest("small", ("a",)))
            shown.append(f"{found.value!r} {found.value.__cause__!r}")
    assert KEY not in "".join(shown) + caplog.text


async def test_closing_an_answer_closes_the_connection(server, backend):
    gone = asyncio.Event()

    async def endless(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            while True:
                await response.write(frames(piece("a")))
                await asyncio.sleep(0)
        finally:
            gone.set()

    server.answers = [endless]
    async with aclosing(backend.generate(ASKED)) as chunks:
        await anext(chunks)
    async with asyncio.timeout(2):
        await gone.wait()


async def test_a_server_that_falls_silent_is_taken_for_dead(server):
    proxy = FaultProxy(int(server.url.rpartition(":")[2]))
    async with proxy.serving(), opened(proxy.url, idle_timeout_s=0.2) as backend:
        await backend.models()
        proxy.down = Toxic(hang_bytes=900)
        server.answers = [saying(frames(piece("a" * 200)) * 5)]
        with pytest.raises(BackendUnavailable, match=r"silent for 0\.2 s"):
            await ask(backend, ASKED)


async def test_the_first_token_may_take_longer_than_the_others(server):
    release = asyncio.Event()

    async def late(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(frames({"choices": [{"delta": {"role": "assistant"}}]}))
        await release.wait()
        await response.write(WHOLE)
        return response

    server.answers = [late, late]
    slow = {"idle_timeout_s": 0.05, "first_token_timeout_s": 10}
    async with opened(server.url, **slow) as backend:
        asyncio.get_running_loop().call_later(0.3, release.set)
        assert words(await ask(backend, ASKED)) == "Hello you"
    release.clear()
    async with opened(server.url, idle_timeout_s=0.05, first_token_timeout_s=0.1) as backend:
        with pytest.raises(BackendUnavailable, match=r"silent for 0\.1 s"):
            await ask(backend, ASKED)
    release.set()


@pytest.mark.parametrize(
    "toxic",
    [Toxic(slice_bytes=7), Toxic(limit_bytes=300), Toxic(reset_bytes=300)],
    ids=["slices", "limit", "reset"],
)
async def test_a_bad_network_gives_the_same_answer_or_an_error(server, toxic):
    server.answers = [saying()]
    proxy = FaultProxy(int(server.url.rpartition(":")[2]))
    async with proxy.serving(), opened(proxy.url) as backend:
        proxy.down = toxic
        if toxic.slice_bytes:
            assert words(await ask(backend, ASKED)) == "Hello you"
        else:
            with pytest.raises(BackendError):
                await ask(backend, ASKED)


async def test_a_server_that_is_gone_is_noticed_at_once_and_found_again_when_it_is_back():
    port = unused_port()
    async with opened(f"http://127.0.0.1:{port}") as backend:
        health = await backend.health()
        assert not health.usable
        assert "is it running?" in health.message
        app = web.Application()
        app.router.add_get("/v1/models", Scripted([{"id": "a"}]).handle)
        async with TestServer(app, port=port):
            assert (await backend.health()).usable
        with pytest.raises(BackendUnavailable):
            await ask(backend, chat("a"))
        assert not (await backend.health()).usable


async def test_vectors_come_in_the_order_of_the_texts(server, backend):
    data = [{"index": it, "embedding": [float(it), 1.0]} for it in (1, 0)]
    server.answers = [saying(orjson.dumps({"data": data}), "application/json")]
    found = await backend.embed(EmbedRequest("small", ("a", "b")))
    assert found.vectors[0] == (0.0, 1.0)
    assert server.asked("/embeddings")[0].body["input"] == ["a", "b"]


@pytest.mark.parametrize("body", [b"{}", b'{"data": []}', b'{"data": [5]}', b"[]", b"<html>"])
async def test_vectors_that_are_none_are_an_error(server, backend, body):
    server.answers = [saying(body)]
    with pytest.raises(BackendError):
        await backend.embed(EmbedRequest("small", ("a",)))


async def test_a_text_that_the_server_refuses_is_the_callers(server, backend):
    server.answers = [refusing(400, "maximum context length is 8192 tokens")]
    with pytest.raises(InvalidRequest, match="maximum context"):
        await backend.embed(EmbedRequest("small", ("a",)))
    with pytest.raises(InvalidRequest, match="empty"):
        await backend.embed(EmbedRequest("small", ("",)))


async def test_versions_are_told_where_there_are_any(server):
    server.models = [{"id": "small", "owned_by": "vllm"}]
    server.answers = [saying(b'{"version": "0.9.1"}', "application/json")]
    async with opened(server.url) as backend:
        assert (await backend.health()).version == "0.9.1"
    assert server.asked("/version")[0].path == "/version"


async def test_a_key_over_an_open_network_is_worth_a_warning(server):
    far = {"key_env": "HOSTED", "list_models": False, "models": {"a": "b"}}
    async with opened("http://192.0.2.1", **far) as it:
        (warning,) = (await it.health()).warnings
        assert "unencrypted" in warning
        assert it.wishes.metered
    async with opened(server.url, key_env="HOSTED") as it:
        assert (await it.health()).warnings == ()
        assert not it.wishes.metered


async def test_a_key_that_is_not_there_is_told_when_the_backend_is_opened():
    with pytest.raises(BackendError, match="there is no key"):
        async with opened("http://127.0.0.1:1", key_env="ABSENT"):
            pass


async def test_a_proxy_is_used_only_when_the_settings_name_one(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with opened(server.url) as backend:
        assert await backend.models()
    async with opened("http://models.invalid", proxy=server.url) as backend:
        assert await backend.models()
    assert server.seen[-1].headers["host"] == "models.invalid"


@asynccontextmanager
async def encrypted(scripted):
    """Serve over https, with a certificate that only tests trust; yield the address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", scripted.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_https_is_spoken_only_with_those_whose_certificate_is_trusted(tmp_path):
    scripted = Scripted(answers=[saying()])
    async with encrypted(scripted) as url:
        async with opened(url, ca_file=TLS / "certificate.pem") as backend:
            assert await backend.models()
            assert words(await ask(backend, ASKED)) == "Hello you"
        async with opened(url) as backend:
            with pytest.raises(BackendUnavailable, match="not to be trusted.*`ca_file`"):
                await backend.models()
    for name in ("README.md", "none.pem"):
        with pytest.raises(BackendError, match="holds no certificates"):
            async with opened(url, ca_file=TLS / name):
                pass
