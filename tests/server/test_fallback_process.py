"""An engine that dies under load, and its fallback: real processes on real sockets."""

from collections import Counter

import pytest

import orac_core
from orac_core import LoadRequest
from orac_core.events import Event
from orac_core.manifest import parse
from tests import outage
from tests.outage import MODEL, REQUESTS, engine, free_port, manifest
from tests.server.serving import service
from tests.tiny_models import write


@pytest.fixture
async def robot(tmp_path):
    """The service, the engine that is to die, and what was told of answers."""
    write(tmp_path, MODEL)
    told: list[Event] = []
    port = free_port()
    async with engine(port) as first:
        known = parse(manifest(port, tmp_path, pause="1s"), "a test")
        opening = orac_core.open(known, environ={})
        async with opening as manager, service(manager, known.server) as served:
            for name in ("first/tiny", f"second/{MODEL}"):
                await manager.load(LoadRequest(name))
            with manager.events.listening_to({"answer", "fallback", "breaker"}, told.append):
                yield served, first, told


async def test_whoever_has_no_word_yet_is_answered_by_another_when_an_engine_dies(robot):
    served, first, told = robot
    found = await outage.run(served.session, first)
    assert len(found.outcomes) == REQUESTS
    assert all(each.ends == 1 for each in found.outcomes)
    answers = [each.data for each in told if each.kind == "answer"]
    failed = [each for each in answers if each["error"]]
    begun = [each for each in failed if each["ttft_ms"] is not None]
    assert found.counts["failed"] == len(begun)
    assert all(each.pieces for each in found.outcomes if each.fallback is None and each.ends == 2)
    given = Counter(each["instance"] for each in answers if not each["error"])
    assert given["second"] >= found.counts["second"] > 0
    assert given["first"] - 1 == found.counts["first"] > 0  # one noticed that it is back
    assert found.noticed_s < 10
    turns = [each.data["state"] for each in told if each.kind == "breaker"]
    assert turns == ["open", "closed"]
    health = (await served.get("/v1/health")).body
    assert health["instances"]["first"]["breaker"]["state"] == "closed"
