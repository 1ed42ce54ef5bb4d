"""``GET /metrics``: what Prometheus is told."""

import asyncio
import json
import re
from bisect import bisect_right
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)

from orac_core import BackendError, LoadRequest, ModelState, Rates
from orac_core.devices import DeviceSample
from orac_core.events import Event
from orac_core.serving.census import BackendNow, Census, ModelNow
from orac_core.serving.fleet import Fleet
from orac_core.testing import FakeDevice
from orac_server.observing.observer import Observer
from orac_server.observing.table import TABLE
from orac_server.observing.tallies import Histogram, Tallies
from tests.scripted import ScriptedBackend
from tests.server.watched import labels, samples, watched
from tests.waiting import until

ROOT = Path(__file__).parents[2]
ASKED = {"model": "small", "prompt": "hi"}
SMALL = labels(backend="fake", model="small")
GENAI = labels(backend="fake", gen_ai_request_model="small")
PARTS = re.compile(r"_(bucket|count|sum)$")
GIB = 1 << 30


@pytest.fixture
async def seen(backend):
    async with watched(backend) as found:
        yield found


async def test_requests_are_counted_by_route_and_status(seen):
    await seen.service.get("/v1/models")
    await seen.service.get("/v1/models/small")
    await seen.service.get("/v1/models/nothing")
    found = await seen.metrics()
    requests = found["orac_http_requests_total"]
    assert requests == {
        labels(method="GET", route="/v1/models", status="200"): 1,
        labels(method="GET", route="/v1/models/{id}", status="200"): 1,
        labels(method="GET", route="/v1/models/{id}", status="404"): 1,
    }
    durations = found["orac_http_request_duration_seconds_count"]
    assert durations[labels(method="GET", route="/v1/models/{id}")] == 2
    assert found["orac_http_requests_in_flight"] == {frozenset(): 1}


async def test_what_a_client_makes_up_is_no_label(seen):
    await seen.service.ask("PROPFIND", "/v1/models")
    await seen.service.ask("DELETE", "/v1/models")
    await seen.service.get("/zyzzyva")
    await seen.service.post("/v1/prompt", {"model": "zyzzyva", "prompt": "hi"})
    await seen.service.post("/v1/models/zyzzyva/load")
    reply = await seen.service.get("/metrics")
    assert b"zyzzyva" not in reply.body
    requests = samples(reply)["orac_http_requests_total"]
    assert requests[labels(method="other", route="unmatched", status="405")] == 1
    assert requests[labels(method="DELETE", route="unmatched", status="405")] == 1
    assert requests[labels(method="GET", route="unmatched", status="404")] == 1


async def test_answers_are_counted_with_their_tokens_and_times(seen, backend):
    backend.rates = Rates(100.0, 20.0)
    for _ in range(3):
        await seen.service.post("/v1/prompt", ASKED)
    found = await seen.metrics()
    done = labels(backend="fake", model="small", finish_reason="stop")
    assert found["orac_answers_total"] == {done: 3}
    assert found["orac_prompt_tokens_total"] == {SMALL: 6}
    assert found["orac_completion_tokens_total"] == {SMALL: 9}
    assert found["orac_decode_tokens_per_second"] == {SMALL: 20}
    assert found["orac_prefill_tokens_per_second"] == {SMALL: 100}
    for name in ("time_to_first_token", "time_per_output_token", "request_duration"):
        assert found[f"gen_ai_server_{name}_seconds_count"] == {GENAI: 3}
    whole = found["gen_ai_server_request_duration_seconds_sum"][GENAI]
    assert 0 < found["gen_ai_server_time_to_first_token_seconds_sum"][GENAI] <= whole


async def test_answers_that_fail_are_counted_by_their_class(seen, backend):
    for error in (BackendError("no"), ZeroDivisionError("no")):
        backend.failures["first"] = error
        await seen.service.post("/v1/prompt", ASKED)
    errors = (await seen.metrics())["orac_answer_errors_total"]
    assert sum(errors.values()) == 2
    assert {dict(each)["error"] for each in errors} <= {"BackendError", "PluginError", "other"}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_is_499_and_its_answer_cancelled(seen, backend, stream):
    backend.hold("word 0")
    asking = asyncio.create_task(seen.service.post("/v1/prompt", {**ASKED, "stream": stream}))
    await until(backend.reached["word 0"].is_set)
    active = await seen.metrics()
    assert active["orac_model_requests_active"][SMALL] == 1
    assert active["orac_http_requests_in_flight"][frozenset()] == 2
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    await until(lambda: seen.requests)
    found = await seen.metrics()
    left = labels(method="POST", route="/v1/prompt", status="499")
    assert found["orac_http_requests_total"][left] == 1
    assert found["orac_answers_cancelled_total"] == {SMALL: 1}
    assert found["orac_http_requests_in_flight"] == {frozenset(): 1}
    assert found["orac_model_requests_active"][SMALL] == 0


async def test_loads_unloads_and_failures_are_counted(seen, backend):
    manager = seen.service.manager
    await manager.load(LoadRequest("small"))
    await manager.unload("small")
    backend.failures["load"] = BackendError("no")
    with pytest.raises(BackendError):
        await manager.load(LoadRequest("small"))
    found = await seen.metrics()
    assert found["orac_model_loads_total"] == {SMALL: 1}
    assert found["orac_model_unloads_total"] == {SMALL: 1}
    assert found["orac_model_failures_total"] == {SMALL: 1}
    assert found["orac_model_load_seconds_count"] == {SMALL: 1}
    states = found["orac_model_state"]
    on = {tuple(sorted(each)) for each, value in states.items() if value}
    assert (("backend", "fake"), ("model", "small"), ("state", "failed")) in on
    assert len(states) == 2 * len(ModelState)


async def test_a_model_that_had_to_go_is_counted():
    backend = ScriptedBackend(sizes={"small": GIB, "large": 3 * GIB})
    sensors = FakeDevice(
        total_bytes=4 * GIB, taken_bytes=lambda: backend.taken_bytes, page_cache_bytes=GIB
    )
    async with watched(backend, sensors=sensors) as seen:
        await seen.service.manager.load(LoadRequest("small"))
        await seen.service.manager.load(LoadRequest("large"))
        found = await seen.metrics()
    assert found["orac_model_evictions_total"][SMALL] == 1
    assert list(found["orac_model_memory_bytes"].values()) == [3 * GIB]
    assert found["orac_device_memory_total_bytes"] == {frozenset(): 4 * GIB}


async def test_a_scrape_is_answered_while_the_engine_hangs(seen, backend):
    await seen.service.get("/v1/models")
    for step in ("models", "health"):
        backend.hold(step)
    async with asyncio.timeout(5):
        assert len((await seen.metrics())["orac_model_state"]) == 2 * len(ModelState)
    assert not backend.reached["models"].is_set()
    assert not backend.reached["health"].is_set()


async def test_backends_and_the_verdict_are_as_they_last_were(seen, backend):
    assert "orac_backend_up" not in await seen.metrics()
    await seen.service.get("/v1/health")
    assert (await seen.metrics())["orac_backend_up"] == {labels(backend="fake"): 1}
    backend.down = True
    await seen.service.get("/v1/health")
    found = await seen.metrics()
    assert found["orac_backend_up"] == {labels(backend="fake"): 0}
    assert found["orac_health_status"][labels(status="unhealthy")] == 1
    assert sum(found["orac_health_status"].values()) == 1


async def test_openmetrics_is_told_to_who_asks_for_it(seen):
    await seen.service.post("/v1/prompt", ASKED)
    wanted = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    reply = await seen.service.ask("GET", "/metrics", headers={"Accept": wanted})
    assert reply.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert {each.name for each in openmetrics_families(reply.body.decode())} >= {
        "orac_http_requests",
        "gen_ai_server_time_to_first_token_seconds",
    }
    plain = await seen.service.get("/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")


async def test_it_is_open_to_all_and_names_no_file_and_no_machine(seen, tmp_path):
    body = (await seen.service.get("/metrics")).body.decode()
    assert str(tmp_path) not in body
    assert "/" not in re.sub(r'route="[^"]*"', "", body)


FULL = DeviceSample(
    at=0.0,
    memory_available_bytes=1,
    swapped_in_bytes=2,
    swapped_out_bytes=3,
    gpu_load_ratio=0.4,
    gpu_frequency_hz=5,
    cpu_load_ratio=0.6,
    hottest="GPU",
    hottest_c=70.0,
    power_w={"VDD_IN": 8.0},
    throttling=False,
    over_current_events=9,
)


async def test_exactly_the_documented_metrics_are_told(seen, backend, monkeypatch):
    backend.rates = Rates(100.0, 20.0)
    await seen.service.post("/v1/prompt", ASKED)
    backend.failures["first"] = BackendError("no")
    await seen.service.post("/v1/prompt", ASKED)
    watching = observer(seen)  # what no backend here says is told by hand
    told = dict.fromkeys(("finish_reason", "ttft_ms", "queue_ms"), 0)
    for each in (
        Event("answer", 0, {**told, "instance": "fake", "model": "small", "error": "cancelled"}),
        Event("fallback", 0, {"role": "a", "failed": "b", "next": "c", "error": "QueueFull"}),
        Event("model", 0, {"instance": "fake", "model": "small", "state": "failed"}),
        Event("model", 0, {"instance": "fake", "model": "small", "state": "stopped"}),
    ):
        watching.heard(each)
    watching.tallies.count("orac_cached_tokens_total", ("fake", "small"))
    model = ModelNow("fake", "small", ModelState.READY, 0, 0, 1, 0, 0.9, degraded=False)
    census = Census((model,), (BackendNow("fake", usable=True),))
    monkeypatch.setattr(Fleet, "census", lambda _: census)
    watching.status, watching.memory_bytes = "healthy", 1
    seen.service.manager.sampler._kept.append(FULL)
    found = await seen.metrics()
    names = {PARTS.sub("", each) if PARTS.sub("", each) in HISTOGRAMS else each for each in found}
    assert names == set(documented())


HISTOGRAMS = {each.name for each in TABLE if each.kind == "histogram"}


def observer(seen):
    """Return the observer of a service, by what its manager tells."""
    ((listener, _),) = seen.service.manager.events._choosy
    return listener.__self__


def documented():
    page = (ROOT / "docs/reference/metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", page, re.MULTILINE)
    return {name: (kind, tuple(re.findall(r"`(\w+)`", names))) for name, kind, names in rows}


def test_kinds_and_labels_are_the_documented_ones():
    ours = {name: each for name, each in documented().items() if not name.startswith("process_")}
    assert ours == {each.name: (each.kind, each.labels) for each in TABLE}


async def test_what_nothing_says_is_not_there(seen):
    seen.service.manager.sampler._kept.append(DeviceSample(at=0.0))
    found = await seen.metrics()
    assert not any(name.startswith("orac_device_gpu") for name in found)
    assert "orac_device_power_watts" not in found
    assert "orac_model_memory_bytes" not in found
    assert "orac_model_degraded" not in found


def test_what_was_counted_of_a_model_goes_with_it():
    tallies = Tallies()
    for model in ("here", "gone"):
        tallies.count("orac_model_loads_total", ("fake", model))
        tallies.observe("orac_model_load_seconds", ("fake", model), 1.0)
    tallies.count("orac_http_requests_total", ("GET", "/", "200"))
    tallies.forget({("fake", "here")})
    left = {(name, labels_) for name, labels_, _ in tallies.samples()}
    assert left == {
        ("orac_model_loads_total", ("fake", "here")),
        ("orac_model_load_seconds", ("fake", "here")),
        ("orac_http_requests_total", ("GET", "/", "200")),
    }


@given(st.lists(st.floats(0, 100)), st.sets(st.floats(0.1, 90), min_size=1))
def test_a_bucket_counts_what_is_not_over_its_bound(values, bounds):
    histogram = Histogram(tuple(sorted(bounds)))
    for each in values:
        histogram.add(each)
    so_far = 0
    for bound, count in zip(histogram.bounds, histogram.counts, strict=False):
        so_far += count
        assert so_far == bisect_right(sorted(values), bound)
    assert sum(histogram.counts) == len(values)
    assert histogram.sum == pytest.approx(sum(values))


def test_bounds_rise():
    for each in TABLE:
        assert all(low < high for low, high in pairwise(each.bounds)), each.name
        assert bool(each.bounds) == (each.kind == "histogram")


def test_p47_loads_are_timed_by_a_clock_that_nobody_can_set():
    now = [100.0]
    watching = Observer(clock=lambda: now[0])
    told = {"instance": "fake", "model": "small"}
    watching.heard(Event("model", 5000.0, {**told, "state": "starting"}))
    now[0] = 102.5
    watching.heard(Event("model", 1400.0, {**told, "state": "ready"}))
    (load,) = [it for it in watching.tallies.samples() if it[0] == "orac_model_load_seconds"]
    assert load[2].sum == 2.5


def dashboard():
    return json.loads((ROOT / "docs/grafana/orac.json").read_text())


def test_the_dashboard_asks_only_for_metrics_and_labels_that_there_are():
    known = documented()
    asked = set()
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            expr = target["expr"]
            assert expr.count("(") == expr.count(")"), expr
            for name, wanted in re.findall(r"\b((?:orac|gen_ai|process)_\w+)\{([^}]*)\}", expr):
                base = PARTS.sub("", name) if PARTS.sub("", name) in HISTOGRAMS else name
                assert base in known, expr
                names = set(re.findall(r'(\w+)=~?"|(\w+)!~', wanted)[0]) - {""}
                assert names <= {*known[base][1], "job", "instance"}, expr
                asked.add(base)
            assert re.findall(r"\borac_\w+(?!\w*\{)\b(?!\{)", expr) == [], expr
    for word in ("health", "requests", "first_token", "output_token", "tokens", "waiting"):
        assert any(word in each for each in asked), word
    for word in ("memory", "temperature", "power", "errors", "degraded", "speed_ratio"):
        assert any(word in each for each in asked), word


def test_the_panels_of_the_dashboard_do_not_overlap():
    taken: set[tuple[int, int]] = set()
    found = dashboard()
    for panel in found["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in found["panels"]]
    assert len(set(ids)) == len(ids)
    (source,) = [each for each in found["templating"]["list"] if each["type"] == "datasource"]
    used = {each["datasource"]["uid"] for each in found["panels"] if each["type"] != "row"}
    assert used == {"${" + source["name"] + "}"}
