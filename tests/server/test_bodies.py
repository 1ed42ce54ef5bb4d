"""Bodies: how long, how deep and how compressed they may be, and how they may arrive."""

import gzip
import time
import tracemalloc
import zlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_server.body import MAX_DEPTH, _is_deeper
from orac_server.inflation import Inflation, NotEncoded
from tests.scripted import ScriptedBackend

JSON = {"Content-Type": "application/json"}
ASKED = {"model": "small", "prompt": "hi"}
LIMIT = 4096
MIB = 1 << 20
HEAD = b"POST /v1/prompt HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"


def raw_deflate(data):
    return zlib.compress(data, wbits=-zlib.MAX_WBITS)


COMPRESSED = {"gzip": gzip.compress, "deflate": zlib.compress}


@pytest.fixture
async def narrow(open_service):
    """A service with a small limit on bodies, and one on prompts."""
    server = {"max_body_bytes": LIMIT, "max_prompt_chars": 100}
    manifest = {"backends": {"fake": {"kind": "scripted"}}, "server": server}
    return await open_service(ScriptedBackend(), manifest=manifest)


def padded(size):
    """Return a good body of so many bytes."""
    raw = orjson.dumps(ASKED)
    return raw + b" " * (size - len(raw))


def chunks(body, size):
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


async def sent(service, body, encoding=None):
    headers = {**JSON, "Content-Encoding": encoding} if encoding else JSON
    return await service.ask("POST", "/v1/prompt", data=body, headers=headers)


async def test_the_limit_of_the_manifest_holds_to_the_byte(narrow):
    assert (await sent(narrow, padded(LIMIT))).status == 200
    reply = await sent(narrow, padded(LIMIT + 1))
    assert (reply.status, reply.error["code"]) == (413, "body_too_large")
    assert "limit of 4096 bytes" in reply.error["message"]


@pytest.mark.parametrize("encoding", COMPRESSED)
async def test_a_compressed_body_is_read_and_its_limit_is_that_of_what_comes_out(narrow, encoding):
    compress = COMPRESSED[encoding]
    assert (await sent(narrow, compress(padded(LIMIT)), encoding)).status == 200
    reply = await sent(narrow, compress(padded(LIMIT + 1)), encoding)
    assert (reply.status, reply.error["code"]) == (413, "body_too_large")


async def test_deflate_without_its_frame_is_read_as_browsers_do(narrow):
    assert (await sent(narrow, raw_deflate(padded(100)), "DEFLATE")).status == 200


@pytest.mark.parametrize("encoding", COMPRESSED)
@pytest.mark.parametrize("spoil", [lambda it: it[:-1], lambda it: it + b"x", lambda _: b"no"])
async def test_what_is_not_compressed_as_it_says_is_400(narrow, encoding, spoil):
    reply = await sent(narrow, spoil(COMPRESSED[encoding](padded(100))), encoding)
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")
    assert "as its headers say" in reply.error["message"]


def bomb(encoding):
    return COMPRESSED[encoding](bytes(64 * MIB))


@pytest.mark.parametrize("encoding", COMPRESSED)
async def test_a_bomb_is_413_and_takes_no_memory(service, encoding):
    packed = bomb(encoding)
    assert len(packed) < MIB
    tracemalloc.start()
    reply = await sent(service, packed, encoding)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (reply.status, reply.error["code"]) == (413, "body_too_large")
    assert peak < 4 * MIB
    assert (await sent(service, padded(100))).status == 200


async def test_compressed_nothing_without_end_is_413(narrow):
    packed = zlib.compressobj()
    nothing = b"".join(packed.flush(zlib.Z_FULL_FLUSH) for _ in range(2 * LIMIT))
    assert (await sent(narrow, nothing, "deflate")).status in {400, 413}
    empty = zlib.compress(b"")[:2] + b"\x00\x00\x00\xff\xff" * LIMIT
    assert (await sent(narrow, empty, "deflate")).status == 413


@given(st.binary(max_size=2000), st.data())
def test_what_is_compressed_comes_out_as_it_was_however_it_is_cut(body, data):
    encoding = data.draw(st.sampled_from(list(COMPRESSED)))
    packed = COMPRESSED[encoding](body)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(packed)), max_size=5)))
    inflation = Inflation(encoding, len(packed) + len(body))
    for begin, end in zip([0, *cuts], [*cuts, len(packed)], strict=True):
        inflation.feed(packed[begin:end])
    assert inflation.end() == body


@given(st.sampled_from(["identity", "gzip", "deflate"]), st.lists(st.binary()), st.integers(0, 99))
def test_whatever_comes_is_held_within_the_limit_or_refused(encoding, pieces, limit):
    inflation = Inflation(encoding, limit)
    try:
        for piece in pieces:
            inflation.feed(piece)
            if inflation.exceeded:
                return
        assert len(inflation.end()) <= limit
    except NotEncoded:
        assert encoding != "identity"


async def test_v14_a_body_in_chunks_of_six_bytes_takes_time_that_grows_with_its_length(service):
    async def took(size):
        started = time.process_time()
        received = await service.raw(CHUNKED + chunks(padded(size), 6))
        assert received.startswith(b"HTTP/1.1 200 ")
        return time.process_time() - started

    await took(MIB // 8)
    short, long = await took(MIB // 8), await took(MIB)
    assert long < 16 * short + 0.2
    assert long < 3


async def test_chunks_beyond_the_limit_are_413_before_they_have_all_come(narrow):
    received = await narrow.raw(CHUNKED + chunks(padded(20 * LIMIT), 6))
    assert received.startswith(b"HTTP/1.1 413 ")


async def test_p33_trailers_are_read_over(service):
    body = chunks(padded(50), 50).removesuffix(b"\r\n") + b"Checksum: 5\r\n\r\n"
    assert (await service.raw(CHUNKED + body)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("trailers", [b"A: b\r\n" * 100_000, b"A: " + b"b" * 1_000_000 + b"\r\n"])
async def test_p33_trailers_without_end_are_refused_and_not_kept(service, trailers):
    body = chunks(padded(50), 50).removesuffix(b"\r\n")
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    received = await service.raw(CHUNKED + body + trailers + b"\r\n")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert received == b"" or received.split(b" ", 2)[1] == b"400"
    assert b"bbb" not in received
    assert peak - before < 4 * MIB
    assert (await sent(service, padded(100))).status == 200


async def test_a_body_that_is_shorter_than_it_says_is_no_request(service, backend):
    received = await service.raw_then_end(HEAD + b"Content-Length: 100\r\n\r\n" + padded(50))
    assert b"200 OK" not in received
    assert backend.calls == []


async def test_a_body_that_is_longer_than_it_says_is_400(service, backend):
    received = await service.raw(HEAD + b"Content-Length: 40\r\n\r\n" + padded(50) + b"\r\n\r\n")
    assert received.split(b" ", 2)[1] == b"400"
    assert backend.calls == []


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
async def test_nesting_is_allowed_to_a_depth_and_no_further(service, opening, closing):
    async def asked(depth):
        deep = opening * depth + b"1" + closing * depth
        return await sent(service, b'{"model":"small","prompt":"hi","format":%b}' % deep)

    within, beyond = await asked(MAX_DEPTH - 1), await asked(MAX_DEPTH)
    assert "nested" not in str(within.body)
    assert beyond.status == 400
    assert "nested more than 64 deep" in beyond.error["message"]


async def test_brackets_in_a_text_are_no_nesting(service):
    body = {**ASKED, "prompt": "[{" * 10_000}
    assert (await service.post("/v1/prompt", body)).status == 200


def depth(data):
    inside = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return 1 + max(map(depth, inside), default=0) if isinstance(data, dict | list) else 0


@given(
    st.recursive(
        st.integers(),
        lambda it: st.lists(it, max_size=3) | st.dictionaries(st.text(max_size=1), it, max_size=3),
        max_leaves=12,
    ),
    st.integers(0, 6),
)
def test_depth_is_that_of_the_deepest_place(data, most):
    assert _is_deeper(data, most) == (depth(data) > most)


@pytest.mark.parametrize(
    "number", [b"1" * 10_000, b"1e400", b"-" + b"9" * 400, b"0." + b"1" * 10_000, b"1E-9999"]
)
async def test_numbers_beyond_all_measure_are_400_or_harmless(service, number):
    reply = await sent(service, b'{"model":"small","prompt":"hi","deadline_ms":%b}' % number)
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"prompt": "x" * 101}, "prompt"),
        ({"prompt": "x" * 60, "system": "y" * 60}, "prompt"),
        ({"messages": [{"role": "user", "content": "x" * 51}] * 2}, "messages"),
    ],
)
async def test_a_prompt_that_is_too_long_is_400_and_says_which_setting_is_in_the_way(
    narrow, said, path
):
    reply = await narrow.post("/v1/prompt", {"model": "small", **said})
    assert list(reply.faults) == [path]
    assert "may have 100" in reply.faults[path]
    assert "server.max_prompt_chars" in reply.error["message"]


async def test_a_prompt_of_the_longest_length_is_answered(narrow):
    assert (await narrow.post("/v1/prompt", {"model": "small", "prompt": "ä" * 100})).status == 200
