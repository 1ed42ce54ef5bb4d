"""How many streams a client may have, and when to ask again beyond that."""

from contextlib import AsyncExitStack
from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core import TooManyStreams
from orac_server.streams import Streams, first_ends_s
from tests.waiting import until

ASKED = {"model": "small", "prompt": "hi", "stream": True}
MANIFEST = {"backends": {"fake": {"kind": "scripted"}}, "server": {"max_streams": 2}}
SPANS = st.lists(st.floats(1, 1e6), min_size=1, max_size=20)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def streams(clock):
    return Streams(most=1, clock=clock)


def refused(streams, client="a", kind="prompt"):
    with pytest.raises(TooManyStreams) as caught, streams.held(client, kind):
        pass
    return caught.value.retry_after_s


def last(streams, clock, kind, span_s):
    with streams.held("b", kind):
        clock.now += span_s


def test_each_client_has_its_own_number(streams):
    with streams.held("a", "prompt"), streams.held("b", "prompt"):
        assert len(streams) == 2
        assert refused(streams)
    with streams.held("a", "prompt"):
        assert len(streams) == 1


def test_before_any_has_ended_the_estimate_is_how_long_they_have_lasted(streams, clock):
    with streams.held("a", "prompt"):
        clock.now += 7
        assert refused(streams) == 7


def test_the_estimate_is_what_those_of_the_same_kind_took(streams, clock):
    last(streams, clock, "events", 3000)
    last(streams, clock, "prompt", 12)
    with streams.held("a", "prompt"):
        assert refused(streams) == 12
        last(streams, clock, "prompt", 22)
        assert isclose(refused(streams), 14)


def test_a_stream_that_fails_is_counted_no_more(streams):
    with pytest.raises(KeyError), streams.held("a", "prompt"):
        raise KeyError
    assert len(streams) == 0
    with streams.held("a", "prompt"):
        assert len(streams) == 1


@given(SPANS)
def test_the_first_of_several_ends_no_later_than_the_shortest_alone(lefts):
    soonest = first_ends_s(lefts)
    assert 0 < soonest <= min(lefts) * (1 + 1e-9)
    assert soonest >= min(lefts) / len(lefts) * (1 - 1e-9)


def test_of_none_nothing_is_known():
    assert first_ends_s([]) is None


@pytest.fixture
async def narrow(open_service, backend):
    """A service that gives each client two streams."""
    return await open_service(backend, manifest=MANIFEST)


async def test_one_more_stream_than_allowed_is_429_with_an_estimate_until_one_ends(narrow, backend):
    gate = backend.hold("word 0")
    async with AsyncExitStack() as stack:
        asking = narrow.session.post("/v1/prompt", json=ASKED)
        response = await stack.enter_async_context(asking)
        events = await stack.enter_async_context(narrow.session.get("/v1/events"))
        await events.content.readline()
        for method, path, body in (
            ("POST", "/v1/prompt", ASKED),
            ("POST", "/v1/models/large/load", {"stream": True}),
            ("POST", "/v1/doctor/degradation", {"model": "small", "stream": True}),
            ("POST", "/v1/benchmark", {"models": ["small"], "stream": True}),
            ("GET", "/v1/events", None),
        ):
            reply = await narrow.ask(method, path, json=body)
            assert (reply.status, reply.error["code"]) == (429, "too_many_streams"), path
            assert int(reply.headers["Retry-After"]) >= 1
        assert (await narrow.get("/v1/models")).status == 200
        gate.set()
        await response.read()
        assert (await narrow.events("/v1/prompt", ASKED))[-1][0] == "done"
    assert backend.count("load") == 1


async def test_a_refused_stream_begins_nothing(narrow, backend):
    backend.hold("word 0")
    async with (
        narrow.session.post("/v1/prompt", json=ASKED),
        narrow.session.post("/v1/prompt", json=ASKED),
    ):
        await narrow.post("/v1/prompt", ASKED)
        assert backend.count("generate") == 2
    await until(lambda: backend.generating == 0)
