"""What crosses between ORAC and a cluster, and what is made of it; no Ray is needed for that."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_backends._ray.batches import MOST, batches
from orac_backends._ray.spec import Inside, Spec
from orac_backends._ray.told import App, Node, homeless, homes
from orac_backends._ray.wire import ERROR, Failure, failed, packed, unpacked
from orac_backends.ray import RayModel, RaySettings
from orac_backends.ray.failures import failure, hopeless
from orac_backends.ray.listing import listed, progress
from orac_backends.ray.specs import app_name, seats, specified
from orac_core import (
    BackendError,
    BackendUnavailable,
    Chunk,
    ConfigurationError,
    EmbedRequest,
    InsufficientMemory,
    LoadRequest,
    ModelFileInvalid,
    ModelInfo,
    ModelNotFound,
    ModelState,
    PluginError,
    QueueFull,
)
from orac_core.testing import strategies

NAMES = st.text(min_size=1, max_size=200)


@given(
    strategies.chunks()
    | strategies.generate_requests()
    | strategies.load_requests()
    | strategies.model_infos()
    | strategies.embed_requests()
    | strategies.embeddings()
)
def test_every_value_crosses_unchanged(value):
    assert unpacked(packed(value), type(value)) == value


@given(st.lists(strategies.chunks()))
def test_pieces_cross_in_lists(chunks):
    assert unpacked(packed(chunks), list[Chunk]) == chunks


def test_what_is_of_another_version_says_what_to_do():
    with pytest.raises(BackendError, match="install the same version of ORAC on every node"):
        unpacked(packed({"model": 3}), EmbedRequest)


@pytest.mark.parametrize(
    "error",
    [
        BackendUnavailable("gone", instance="box", operation="generate"),
        InsufficientMemory("no room", needed_bytes=3, available_bytes=2),
        ModelNotFound("a" * 300),
        ModelFileInvalid(Path("/models/a.gguf"), "is cut"),
        QueueFull("full", 2.5),
        PluginError("odd"),
    ],
)
def test_an_error_crosses_with_all_it_says(error):
    message = failed(error)
    again = unpacked(message[1:], Failure).error()
    assert message[:1] == ERROR
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_an_error_of_a_strangers_crosses_as_its_nearest_base():
    class Odd(BackendUnavailable):
        pass

    assert type(Failure.of(Odd("x")).error()) is BackendUnavailable
    assert type(Failure("open", "x").error()) is BackendError


async def pieces(count, pause=None, *, fail=False):
    for number in range(count):
        if pause is not None:
            await asyncio.sleep(pause)
        yield number
    if fail:
        raise BackendError("cut")


@given(st.integers(0, 3 * MOST), st.sampled_from([None, 0]))
def test_pieces_come_together_and_in_order_and_none_is_lost(count, pause):
    async def collected():
        async with aclosing(batches(pieces(count, pause), 0.0)) as lists:
            return [each async for each in lists]

    lists = asyncio.run(collected())
    assert [number for each in lists for number in each] == list(range(count))
    assert all(0 < len(each) <= MOST for each in lists)


async def test_what_came_before_a_failure_comes_before_it():
    seen = []
    with pytest.raises(BackendError, match="cut"):
        async for each in batches(pieces(3, 0, fail=True), 0.0):
            seen += each
    assert seen == [0, 1, 2]


async def test_the_first_piece_waits_for_no_other():
    async with aclosing(batches(pieces(2, 0.0), 3600)) as lists:
        assert await anext(lists) == [0]


async def test_the_end_is_waited_for_no_longer_than_it_takes():
    async with asyncio.timeout(10):
        assert [each async for each in batches(pieces(1), 3600)] == [[0]]


async def test_who_leaves_early_closes_what_makes_the_pieces():
    closed = asyncio.Event()

    async def endless():
        try:
            while True:
                yield 1
                await asyncio.sleep(0)
        finally:
            closed.set()

    async with aclosing(batches(endless(), 0.0)) as lists:
        await anext(lists)
    assert closed.is_set()


async def test_a_model_that_writes_faster_than_anybody_reads_waits():
    made = 0

    async def hasty():
        nonlocal made
        while True:
            made += 1
            yield made

    async with aclosing(batches(hasty(), 0.0)) as lists:
        await anext(lists)
        for _ in range(100):
            await asyncio.sleep(0)
    assert made <= 3 * MOST


@given(NAMES, NAMES)
def test_names_of_applications_are_plain_and_tell_models_apart(one, other):
    here, there = app_name("orac", one), app_name("orac", other)
    assert (here == there) == (one == other)
    assert "#" not in here
    assert "/" not in here
    assert len(here) < 100


def test_a_replica_takes_what_the_manifest_says():
    model = RayModel(
        "llamacpp", num_cpus=0, num_gpus=0.5, memory_mib=2, resources={"orin-1": 1}, replicas=2
    )
    assert dict(seats(model).resources) == {"GPU": 0.5, "memory": 2 << 20, "orin-1": 1}
    assert (seats(model).replicas, seats(model).most) == (2, 2)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ({"kind": "ray"}, "not ray again"),
        ({"kind": "python", "replicas": 3, "max_replicas": 2}, "max_replicas"),
        (
            {"kind": "python", "parallel": 1, "max_replicas": 2},
            r"'busy' must be below 'parallel' \(1",
        ),
        ({"kind": "python", "resources": {"CPU": 1.0}}, "write num_cpus"),
        ({"kind": "python", "resources": {"orin": 0.0}}, "above 0"),
    ],
)
def test_models_that_make_no_sense_are_refused(model, problem):
    with pytest.raises(ValueError, match=problem):
        RayModel(**model)


def test_as_many_replicas_as_ever_need_no_figure_to_be_added_at():
    assert RayModel("python", parallel=1, max_replicas=1).busy > 1


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "http://head:6379", "head:port"])
def test_an_address_that_no_driver_can_join_is_refused(address):
    with pytest.raises(ValueError, match="HOST:PORT"):
        RaySettings(address=address)


def test_only_what_is_within_a_replica_makes_it_another():
    settings, request = RaySettings(), LoadRequest("m", keep_alive_s=5.0, pinned=True)
    one = specified("m", RayModel("python"), request, None, settings)
    more = specified("m", RayModel("python", replicas=2), LoadRequest("m"), None, settings)
    longer = specified("m", RayModel("python"), LoadRequest("m", 512), None, settings)
    assert one.inside.digest == more.inside.digest != longer.inside.digest
    assert unpacked(packed(one), Spec) == one
    assert unpacked(packed(one.inside), Inside).digest == one.inside.digest


AMOUNTS = st.dictionaries(st.sampled_from(["CPU", "GPU", "orin"]), st.floats(0.1, 8), max_size=3)


@given(AMOUNTS, st.lists(AMOUNTS, max_size=4))
def test_a_replica_has_a_home_where_one_node_has_all_that_it_takes(wanted, there):
    nodes = [Node("box", each) for each in there]
    fits = any(all(each.get(k, 0) >= v for k, v in wanted.items()) for each in there)
    assert (homeless(wanted, {}, nodes) is None) == fits == (homes(wanted, {}, nodes) > 0)


def test_without_a_home_every_node_is_told_with_what_it_has():
    nodes = [Node("10.0.0.1", {"CPU": 4.0, "node:10.0.0.1": 1.0}), Node("10.0.0.2", {"GPU": 1.0})]
    told = homeless({"CPU": 1, "GPU": 1}, {"board": "orin"}, nodes)
    assert told == (
        "no node of the cluster has CPU 1, GPU 1, label board=orin: "
        "10.0.0.1 has CPU 4; 10.0.0.2 has GPU 1"
    )


def test_memory_is_told_in_mib():
    told = homeless({"memory": 2.0**40}, {}, [Node("box", {"memory": 1.5 * 2**30})])
    assert told == "no node of the cluster has memory 1048576 MiB: box has memory 1536 MiB"


STATUSES = ["NOT_STARTED", "DEPLOYING", "DEPLOY_FAILED", "RUNNING", "UNHEALTHY", "DELETING"]


@given(st.sampled_from(STATUSES), st.integers(0, 3), st.text(max_size=600))
def test_a_model_is_ready_as_long_as_a_replica_answers(status, running, message):
    app = App(status, message, {"RUNNING": running, "STARTING": 1})
    info = listed("m", RayModel("python", replicas=2, parallel=4), app, ModelInfo("inner"))
    assert (info.state is ModelState.READY) == (running > 0 and status != "DELETING")
    assert (info.loaded is None) == (info.state is not ModelState.READY)
    assert (info.id, info.remote) == ("m", True)
    if info.loaded:
        assert info.loaded.parallel == 4 * running
        assert (info.warning is None) == (running >= 2)


def test_a_model_that_is_nowhere_is_stopped():
    assert listed("m", RayModel("python"), None, None).state is ModelState.STOPPED


def test_progress_counts_replicas():
    app = App("DEPLOYING", "", {"RUNNING": 1, "STARTING": 2})
    assert progress(app, 3) == "1 of 3 replicas run (2 starting)"


def test_the_error_of_a_replica_is_found_in_what_ray_says():
    told = packed(Failure.of(ModelNotFound("m", "the node has none"))).hex()
    error = failure(f"The deployment failed to start 3 times:\n RuntimeError <orac>{told}</orac>\n")
    assert type(error) is ModelNotFound
    assert str(error) == "model 'm' not found; the node has none"
    assert "no module" in str(failure("ImportError: no module"))


LASTING = [
    ModelNotFound("m", "the node has none"),
    ModelFileInvalid(Path("/models/m.gguf"), "is cut"),
    ConfigurationError("models.m", ["no such kind"]),
    PluginError("odd"),
]
PASSING = [
    BackendUnavailable("not yet"),
    BackendError("it crashed"),
    InsufficientMemory("no room", needed_bytes=3, available_bytes=2),
]


@given(st.sampled_from([*LASTING, *PASSING, None]), st.integers(0, 3), *2 * [st.text(max_size=200)])
def test_only_what_lasts_on_the_only_node_ends_a_load_before_the_last_attempt(
    error, homes, before, after
):
    mark = f"<orac>{packed(Failure.of(error)).hex()}</orac>" if error else ""
    found = hopeless(f"{before}{mark}{after}", homes)
    assert (found is not None) == (homes == 1 and error in LASTING)
    assert found is None or (type(found), str(found)) == (type(error), str(error))
