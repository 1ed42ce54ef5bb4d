"""HTTP itself: headers of every answer, and what no decent client would send."""

import asyncio
import re
import time

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from tests.waiting import until

HEAD = b"GET /v1/health/live HTTP/1.1\r\nHost: a\r\n"


async def health_is_quick(service):
    started = time.perf_counter()
    assert (await service.get("/v1/health")).status == 200
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    "request_",
    [
        HEAD + b"A: b\r\n" * 10_000 + b"\r\n",
        HEAD + b"A: " + b"b" * 1_000_000 + b"\r\n\r\n",
        b"GET /" + b"b" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"no http at all\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["headers", "header", "url", "words", "version", "length", "smuggling", "tls"],
)
async def test_p24_what_is_no_decent_http_is_400_in_json(service, request_):
    received = await service.raw(request_)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.partition(b"\r\n")[0].split(b" ")[1] == b"400"
    assert b"Content-Type: application/json" in head
    assert b"Server: ORAC\r\n" in head + b"\r\n"
    assert body.startswith(b'{"error":{"message":"this can not be read as HTTP: ')
    await health_is_quick(service)


async def test_p33_expect_100_continue_is_answered(service):
    body = b'{"model":"small","prompt":"hi"}'
    head = (
        b"POST /v1/prompt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    received = await service.raw(head, body)
    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


async def test_p33_another_expectation_is_417_in_json(service):
    received = await service.raw(HEAD + b"Connection: close\r\nExpect: wonders\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 417 ")
    assert b'"code":"expectation_failed"' in received


@pytest.mark.parametrize("path", [b"/v1/health/live", b"/nothing"])
async def test_p33_an_expectation_that_is_no_text_is_400_in_json(service, path):
    head = b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nExpect: \xff\r\n\r\n"
    received = await service.raw(head)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"a header is no text" in received


async def test_p33_broken_chunks_are_400(service):
    head = (
        b"POST /v1/prompt HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    received = await service.raw(head, b"zz\r\nabc\r\n")
    assert received.partition(b"\r\n")[0].split(b" ")[1] == b"400"
    await health_is_quick(service)


async def test_p34_http_1_0_is_answered_and_closed(service):
    received = await service.raw(b"GET /v1/health/live HTTP/1.0\r\n\r\n")
    assert received.startswith(b"HTTP/1.0 200 OK\r\n")


async def test_p35_two_requests_in_one_packet_get_two_answers_in_order(service):
    first = HEAD + b"X-Request-Id: first\r\n\r\n"
    second = HEAD + b"X-Request-Id: second\r\nConnection: close\r\n\r\n"
    received = await service.raw(first + second)
    assert received.count(b"HTTP/1.1 200 OK") == 2
    assert received.index(b"X-Request-Id: first") < received.index(b"X-Request-Id: second")


@pytest.mark.parametrize("path", ["/", "/v1/models", "/v1/nothing", "/dashboard/app.js"])
async def test_p53_p59_every_answer_has_the_headers_that_protect(service, path):
    headers = (await service.get(path)).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Server"] == "ORAC"
    assert "Access-Control-Allow-Origin" not in headers


async def test_the_page_has_nothing_inline(service):
    html = (await service.get("/")).body.decode()
    assert re.findall(r"<script[^>]*>", html) == [
        '<script type="module" src="/dashboard/app.js">',
    ]
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|https?://", html)


@pytest.mark.parametrize(
    ("path", "type_"),
    [
        ("/", "text/html"),
        ("/dashboard/app.js", "text/javascript"),
        ("/dashboard/style.css", "text/css"),
        ("/dashboard/icon.svg", "image/svg+xml"),
    ],
)
async def test_the_page_comes_in_parts_of_the_right_type(service, path, type_):
    reply = await service.get(path)
    assert (reply.status, reply.headers["Content-Type"]) == (200, f"{type_}; charset=utf-8")
    assert reply.body


async def test_streams_have_them_too(service):
    body = {"model": "small", "prompt": "hi", "stream": True}
    headers = (await service.post("/v1/prompt", body)).headers
    assert headers["Server"] == "ORAC"
    assert "Content-Security-Policy" in headers
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/v1/models", "/v1/models/small", "/v1/health"])
async def test_head_is_get_without_the_body(service, path):
    reply = await service.ask("HEAD", path)
    assert (reply.status, reply.body) == (200, b"")


async def test_a_request_keeps_its_id_when_that_is_harmless(service):
    given = await service.ask("GET", "/v1/models", headers={"X-Request-Id": "a-1"})
    assert given.headers["X-Request-Id"] == "a-1"
    for bad in ("a b", "x" * 65, "<a>", ""):
        reply = await service.ask("GET", "/v1/models", headers={"X-Request-Id": bad})
        assert reply.headers["X-Request-Id"] not in {bad, ""}


async def test_an_error_nobody_expected_is_500_with_an_id_and_in_the_log(service, monkeypatch):
    async def broken(_manager):
        raise ZeroDivisionError("in secret/place.py")

    monkeypatch.setattr(type(service.manager), "models", broken)
    with capture_logs([merge_contextvars]) as logged:
        reply = await service.get("/v1/models")
    assert (reply.status, reply.error["code"]) == (500, "internal_error")
    assert reply.headers["X-Request-Id"] in reply.error["message"]
    assert "secret" not in reply.error["message"]
    (entry,) = logged
    assert entry["request_id"] == reply.headers["X-Request-Id"]
    assert isinstance(entry["exc_info"], ZeroDivisionError)


async def test_a_client_that_never_sends_its_body_is_408(service, monkeypatch):
    monkeypatch.setattr("orac_server.body.PATIENCE_S", 0.05)
    monkeypatch.setattr("orac_server.service.LINGER_S", 0.05)
    received = await service.raw(
        b"POST /v1/prompt HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Connection: close\r\nContent-Length: 10\r\n\r\n{"
    )
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in received


async def test_a_stream_begins_with_a_comment_when_it_stays_silent(service, backend, monkeypatch):
    monkeypatch.setattr("orac_server.sse.SILENCE_S", 0.02)
    monkeypatch.setattr("orac_server.sse.KEEP_ALIVE_S", 0.02)
    gate = backend.hold("load")
    body = {"model": "small", "prompt": "hi", "stream": True}
    async with service.session.post("/v1/prompt", json=body) as response:
        assert await response.content.readline() == b": working\n"
        gate.set()
        raw = await response.read()
    assert b"event: done\n" in raw


async def test_a_stream_that_began_in_silence_tells_a_failure_as_its_last_event(
    service, backend, monkeypatch
):
    monkeypatch.setattr("orac_server.sse.SILENCE_S", 0.02)
    gate = backend.hold("load")
    body = {"model": "nothing", "prompt": "hi", "stream": True}
    assert (await service.post("/v1/prompt", body)).status == 404
    body["model"] = "small"
    backend.failures["load"] = RuntimeError("engine")
    async with service.session.post("/v1/prompt", json=body) as response:
        gate.set()
        raw = await response.read()
    assert b"event: error\n" in raw
    assert raw.count(b"event: ") == 1


async def test_a_client_that_does_not_read_is_given_up(service, backend, monkeypatch):
    monkeypatch.setattr("orac_server.sse.STALLED_S", 0.2)
    backend.words = ("x" * 60_000,) * 400
    body = b'{"model":"small","prompt":"hi","stream":true}'
    with service.socket() as connection:
        await asyncio.get_running_loop().sock_sendall(
            connection,
            b"POST /v1/prompt HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
        )
        await until(lambda: backend.count("generate") == 1)
        await until(lambda: backend.generating == 0)
    assert backend.closed_early == 1
