"""Objects that functions of the user's make: loaded, asked, handed out, dropped."""

import asyncio
import gc
import hashlib
import logging
import os
import threading
import weakref
from contextlib import AsyncExitStack, aclosing

import pytest

import orac_core
from orac_backends import python
from orac_backends.python.reference import Reference
from orac_core import (
    BackendError,
    BackendUnavailable,
    ConfigurationError,
    EmbedRequest,
    GenerateOptions,
    GenerateRequest,
    Instance,
    InvalidRequest,
    Limits,
    LoadRequest,
    Message,
    ModelFileInvalid,
    ModelNotFound,
    ModelState,
    Plugins,
    QueueFull,
    Registry,
    ShuttingDown,
    StateConflict,
)
from orac_core.benchmark.request import BenchmarkRequest
from orac_core.benchmark.run import Runner
from orac_core.manifest import parse
from tests.backends.python_objects import SHAPES, Speech
from tests.core.benchmark.bench import outcome
from tests.scripted import NoSensors, ScriptedBackend
from tests.scripted import plugins as scripted
from tests.waiting import until

HERE = "tests.backends.python_objects"
QUICK = Limits(drain_s=0.05, list_s=5, verify_s=5, unload_s=5)


def installed(*others) -> Plugins:
    found = scripted(*others) if others else Plugins()
    found.register("python", python)
    return found


@pytest.fixture
async def opened():
    """Opens managers of objects that the manifest names, and of nothing else."""
    async with AsyncExitStack() as stack:

        async def open_with(*others, limits=QUICK, registry=None, files=None, **models):
            tables = {
                name: {**it, "loader": f"{HERE}:{it['loader']}"} for name, it in models.items()
            }
            there = {"here": {"kind": "scripted"}} if others else {}
            mine = {"mine": {"kind": "python", "models": tables}} if tables else {}
            data = {
                "backends": mine | there,
                "models": {"files": files or {}, "retries": 1},
            }
            opening = orac_core.open(
                parse(data, "a test"),
                plugins=installed(*others),
                limits=limits,
                environ={},
                sensors=NoSensors(),
                registry=registry,
            )
            return await stack.enter_async_context(opening)

        yield open_with


def ask(model: str, text="Hello", **rest) -> GenerateRequest:
    return GenerateRequest(model, messages=(Message("user", text),), **rest)


async def listed(manager, name):
    return (await manager.find(name)).info


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_function_answers_whatever_its_shape(opened, shape):
    manager = await opened(it={"loader": "shapes", "kwargs": {"shape": shape}})
    answer = await manager.answer(ask("it"))
    assert (answer.text, answer.finish_reason) == ("one two three", "stop")


async def test_what_is_yielded_arrives_piece_by_piece(opened):
    manager = await opened(it={"loader": "shapes", "kwargs": {"shape": "generator"}})
    async with aclosing(manager.generate(ask("it"))) as pieces:
        assert [piece.text async for piece in pieces][:-1] == ["one ", "two ", "three"]


async def test_an_object_that_offers_generate_and_embed_can_do_both(opened):
    manager = await opened(it={"loader": "model"})
    assert (await manager.answer(ask("it"))).text == "Hello"
    found = await manager.embed(EmbedRequest("it", ("ab", "c")))
    assert found.vectors == ((1.0, 0.0), (1.0, 0.0))
    assert (await listed(manager, "it")).capabilities == ("completion", "chat", "embedding")


async def test_an_object_that_only_embeds_is_proved_by_a_vector(opened):
    manager = await opened(it={"loader": "async_vectors"})
    assert (await manager.load(LoadRequest("it"))).model == "it"
    found = await manager.embed(EmbedRequest("it", ("ab",), dimensions=1))
    assert found.vectors == ((1.0,),)
    with pytest.raises(InvalidRequest, match="writes no text"):
        await manager.answer(ask("it"))


async def test_an_object_that_can_neither_is_handed_out(opened):
    manager = await opened(whisper={"loader": "speech", "kwargs": {"language": "de"}})
    assert (await listed(manager, "whisper")).state is ModelState.STOPPED
    found = await manager.get("mine/whisper")
    assert found.transcribe() == "de: heard"
    assert await manager.get("whisper") is found
    info = await listed(manager, "whisper")
    assert (info.state, info.capabilities) == (ModelState.READY, ())
    with pytest.raises(InvalidRequest, match="whisper writes no text"):
        await manager.answer(ask("whisper"))
    with pytest.raises(InvalidRequest, match="whisper makes no vectors"):
        await manager.embed(EmbedRequest("whisper", ("a",)))


async def test_a_load_of_an_object_says_what_proves_it(opened):
    manager = await opened(whisper={"loader": "speech"})
    async with aclosing(manager.load_progress(LoadRequest("whisper"))) as stages:
        told = [str(stage) async for stage in stages][:-1]
    assert [it for it in told if not it.startswith("plan")] == [
        "start: calling its loader",
        "verify: asking for the object",
    ]


async def test_a_loader_may_be_asynchronous(opened):
    manager = await opened(whisper={"loader": "speech_later"})
    assert (await manager.get("whisper")).thread is not None


async def test_one_thread_makes_an_object_and_calls_it_and_closes_it(opened):
    threads = []

    class Model:
        def __init__(self):
            threads.append(threading.current_thread())

        def generate(self, prompt):
            threads.append(threading.current_thread())
            return "well"

        close = __init__

    manager = await opened()
    manager.register("it", loader=Model)
    await manager.answer(ask("it"))
    await manager.unload("it")
    assert len(threads) == 4
    assert len(set(threads)) == 1
    assert threads[0] is not threading.main_thread()


async def test_a_function_that_can_not_be_called_with_text_is_only_handed_out(opened):
    manager = await opened(hearing={"loader": "hearing"})
    manager.register("needs two", loader=lambda: lambda audio, rate: "")
    assert (await manager.get("needs two"))(1, 2) == ""
    with pytest.raises(BackendError, match=r"AttributeError.*`capabilities = \[\]`"):
        await manager.load(LoadRequest("hearing"))


async def test_what_is_said_to_do_nothing_is_never_called(opened):
    manager = await opened(it={"loader": "hearing", "capabilities": []})
    assert await manager.get("it") is not None
    with pytest.raises(InvalidRequest, match="writes no text"):
        await manager.answer(ask("it"))


async def test_an_object_that_can_not_do_what_is_said_is_not_loaded(opened):
    manager = await opened(
        it={"loader": "speech", "capabilities": ["completion", "embedding"]},
    )
    with pytest.raises(BackendError, match="capabilities say: completion, embedding"):
        await manager.load(LoadRequest("it"))


@pytest.mark.parametrize("loader", ["broken", "broken_later"])
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("value", "ValueError: no such device"),
        ("system exit", "SystemExit: 3"),
        ("interrupt", "KeyboardInterrupt"),
    ],
)
async def test_whatever_a_loader_raises_is_told_and_ends_nothing(opened, loader, how, told, caplog):
    manager = await opened(it={"loader": loader, "kwargs": {"how": how}})
    with pytest.raises(BackendError, match=f"it: {told}") as raised:
        await manager.load(LoadRequest("it"))
    assert (raised.value.instance, raised.value.operation) == ("mine", "load")
    assert "python_objects.py" in caplog.text
    info = await listed(manager, "it")
    assert (info.state, info.state_reason) == (ModelState.FAILED, str(raised.value))


@pytest.mark.parametrize(
    ("loader", "told"),
    [
        ("nothing_like_it", "AttributeError"),
        ("HERE", "AttributeError"),
        ("SHAPES", "TypeError.*no function but tuple"),
        ("speech.nothing", "AttributeError"),
        ("stops_iterating", "StopIteration"),
    ],
)
async def test_a_loader_that_is_none_is_told_when_it_is_needed(opened, loader, told):
    manager = await opened(it={"loader": loader})
    with pytest.raises(BackendError, match=told):
        await manager.load(LoadRequest("it"))


async def test_a_module_that_does_not_exist_is_told(opened):
    manager = await opened()
    manager.register("it", loader=Reference("no.such:thing"))
    with pytest.raises(BackendError, match="ModuleNotFoundError: No module named 'no'.*PYTHONPATH"):
        await manager.load(LoadRequest("it"))


async def test_a_loader_that_returns_nothing_has_failed(opened):
    manager = await opened()
    manager.register("it", loader=lambda: None)
    with pytest.raises(BackendError, match="its loader returned None"):
        await manager.get("it")


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("wrong", "it answered int; it must return a text"),
        ("wrong_piece", "it answered bytes"),
        ("fails", "LookupError: .*no answer to Hi"),
        ("breaks_off", "LookupError: .*no more"),
        ("fails_later", "SystemExit: 4"),
        ("cancels", "CancelledError"),
    ],
)
async def test_whatever_goes_wrong_in_an_answer_is_told(opened, what, told):
    manager = await opened(it={"loader": "answers", "kwargs": {"what": what}})
    with pytest.raises(BackendError, match=told):
        await manager.answer(ask("it", "Hi"))


async def test_what_was_said_is_not_in_the_log_when_an_answer_fails(opened, caplog):
    manager = await opened(it={"loader": "answers", "kwargs": {"what": "fails"}})
    with caplog.at_level(logging.DEBUG), pytest.raises(BackendError):
        await manager.answer(ask("it", "my secret"))
    assert "LookupError" in caplog.text
    assert "python_objects.py" in caplog.text
    assert "my secret" not in caplog.text


async def test_a_long_error_is_cut(opened):
    manager = await opened(it={"loader": "broken", "kwargs": {"text": "x" * 10_000}})
    with pytest.raises(BackendError) as raised:
        await manager.load(LoadRequest("it"))
    assert len(str(raised.value)) < 600


async def test_options_that_a_function_does_not_take_still_hold(opened):
    manager = await opened(it={"loader": "shapes", "kwargs": {"shape": "generator"}})
    stopped = await manager.answer(ask("it", options=GenerateOptions(stop=("wo",))))
    assert (stopped.text, stopped.finish_reason) == ("one t", "stop")
    cut = await manager.answer(ask("it", options=GenerateOptions(max_tokens=2)))
    assert (cut.text, cut.finish_reason) == ("one two ", "length")


async def test_options_of_a_load_mean_nothing_and_are_refused(opened):
    manager = await opened(it={"loader": "speech"})
    with pytest.raises(InvalidRequest, match="takes no context_length"):
        await manager.load(LoadRequest("it", context_length=512))
    with pytest.raises(InvalidRequest, match="or parallel"):
        await manager.load(LoadRequest("it", parallel=2))
    with pytest.raises(ModelNotFound):
        await manager.load(LoadRequest("nothing"))


async def test_the_loads_of_an_object_are_measured_too(opened):
    manager = await opened(it={"loader": "shapes", "kwargs": {"shape": "generator"}})
    await manager.load(LoadRequest("it"))
    request = BenchmarkRequest(("it",), rounds=1, loads=True)
    (result,) = (await outcome(Runner(manager), request)).results
    assert (result.error, len(result.loads)) == (None, 2)
    assert (await manager.find("it")).info.state is ModelState.READY


class Slow:
    """Answers when it is told to, and counts what goes on."""

    def __init__(self):
        self.gate, self.reached = threading.Event(), threading.Event()
        self.running = self.most = self.closed = self.yielded = 0

    def plain(self, prompt):
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if prompt != "Hi":
                self.reached.set()
                self.gate.wait(10)
            return prompt
        finally:
            self.running -= 1

    def endless(self, prompt):
        try:
            while True:
                self.yielded += 1
                yield "more "
        finally:
            self.closed += 1


@pytest.fixture
def slow():
    it = Slow()
    yield it
    it.gate.set()


async def test_a_generator_ends_in_its_thread_when_the_client_leaves(opened, slow):
    manager = await opened()
    manager.register("it", loader=lambda: slow.endless)
    async with aclosing(manager.generate(ask("it"))) as pieces:
        async for _ in pieces:
            break
    closed = 2  # the proof of its load was one, too
    await until(lambda: slow.closed == closed)
    assert slow.yielded < 20


async def test_a_generator_does_not_run_ahead_of_a_slow_reader(opened, slow):
    manager = await opened()
    manager.register("it", loader=lambda: slow.endless)
    async with aclosing(manager.generate(ask("it"))) as pieces:
        await anext(pieces)
        before = slow.yielded
        for _ in range(20):
            await asyncio.sleep(0)
        assert slow.yielded <= before + 9
        for _ in range(50):
            await anext(pieces)
    assert slow.yielded > 50


@pytest.mark.parametrize("parallel", [1, 3])
async def test_so_many_calls_at_once_as_the_object_bears(opened, slow, parallel):
    manager = await opened()
    manager.register("it", loader=lambda: slow.plain, parallel=parallel)
    await manager.load(LoadRequest("it"))
    answers = [asyncio.create_task(manager.answer(ask("it", f"{n}"))) for n in range(6)]
    await until(lambda: slow.running == parallel)
    slow.gate.set()
    assert sorted([(await each).text for each in answers]) == [*"012345"]
    assert slow.most == parallel


async def test_asynchronous_functions_wait_for_their_turn_too(opened):
    running = most = 0

    async def generate(prompt):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return prompt

    manager = await opened()
    manager.register("it", loader=lambda: generate, parallel=2)
    await asyncio.gather(*(manager.answer(ask("it")) for _ in range(6)))
    assert most == 2


async def test_a_call_that_nobody_waits_for_keeps_its_turn_and_its_memory(opened, slow):
    manager = await opened()
    manager.register("it", loader=lambda: slow.plain)
    await manager.load(LoadRequest("it"))
    first = asyncio.create_task(manager.answer(ask("it", "first")))
    await until(slow.reached.is_set)
    first.cancel()
    await asyncio.wait([first])
    second = asyncio.create_task(manager.answer(ask("it", "second")))
    await asyncio.sleep(0)
    unload = asyncio.create_task(manager.unload("it"))
    await asyncio.sleep(0)
    assert slow.most == 1
    slow.gate.set()
    assert (await second).text == "second"
    await unload
    assert slow.most == 1


async def test_an_unload_that_waits_for_a_call_for_ever_is_told_and_can_be_repeated(opened, slow):
    limits = Limits(drain_s=0.05, unload_s=2.0)
    manager = await opened(limits=limits)
    manager.register("it", loader=lambda: slow.plain)
    await manager.load(LoadRequest("it"))
    first = asyncio.create_task(manager.answer(ask("it", "first")))
    await until(slow.reached.is_set)
    first.cancel()
    await asyncio.wait([first])
    with pytest.raises(BackendError, match="did not free it within"):
        await manager.unload("it")
    info = await listed(manager, "it")
    assert info.state is ModelState.FAILED
    assert "has not returned yet" in info.state_reason
    slow.gate.set()
    await manager.unload("it")
    assert (await manager.answer(ask("it", "again"))).text == "again"


async def test_a_loader_that_hangs_is_given_up_and_its_thread_is_named(opened, slow):
    def hang():
        slow.reached.set()
        slow.gate.wait(10)
        return Speech()

    manager = await opened()
    manager.register("it", loader=hang, start_timeout_s=0.05)
    with pytest.raises(BackendError, match=r"within 0.05 s; the thread .* is left behind"):
        await manager.load(LoadRequest("it"))
    health = await manager.health()
    assert "1 call of it that nobody waits for" in health.instances["python"].warnings[0]
    slow.gate.set()
    async with asyncio.timeout(10):
        while (await manager.health()).instances["python"].warnings:
            await asyncio.sleep(0.001)


async def test_a_load_that_is_given_up_leaves_no_object_behind(opened, slow):
    kept = []

    def hang():
        slow.reached.set()
        slow.gate.wait(10)
        it = Speech()
        kept.append(weakref.ref(it))
        return it

    manager = await opened()
    manager.register("it", loader=hang)
    load = asyncio.create_task(manager.load(LoadRequest("it")))
    await until(slow.reached.is_set)
    load.cancel()
    await asyncio.wait([load])
    assert (await listed(manager, "it")).state is not ModelState.READY
    slow.gate.set()
    await until(lambda: bool(kept) and kept[0]() is None)


async def test_an_unloaded_object_is_told_and_dropped(opened):
    manager = await opened(whisper={"loader": "speech"})
    whisper = await manager.get("whisper")
    gone = weakref.ref(whisper)
    await manager.unload("whisper")
    assert whisper.closed
    assert (await listed(manager, "whisper")).state is ModelState.STOPPED
    del whisper
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("name", ["close", "aclose", "unload"])
async def test_an_object_tidies_up_by_whatever_name(opened, name):
    told = []

    async def aclose(_):
        told.append("aclose")

    made = type("It", (), {name: aclose if name == "aclose" else lambda _: told.append(name)})
    manager = await opened()
    manager.register("it", loader=made)
    await manager.get("it")
    await manager.unload("it")
    assert told == [name]


async def test_an_object_that_fails_to_tidy_up_is_gone_all_the_same(opened):
    class Stubborn:
        def close(self):
            raise OSError("no")

    manager = await opened()
    manager.register("it", loader=Stubborn)
    await manager.get("it")
    with pytest.raises(BackendError, match="OSError: no"):
        await manager.unload("it")
    assert await manager.get("it") is not None


async def test_a_check_of_the_users_own_decides_whether_the_object_is_good(opened):
    manager = await opened()
    checked: list[object] = []
    manager.register("good", loader=Speech, check=checked.append)
    manager.register("bad", loader=Speech, check=lambda it: False)
    manager.register("worse", loader=Speech, check=lambda it: it.nothing)
    assert checked == [await manager.get("good")]
    with pytest.raises(BackendError, match="its check says that it is no good"):
        await manager.get("bad")
    with pytest.raises(BackendError, match="AttributeError"):
        await manager.get("worse")


async def test_the_file_of_an_object_is_checked_before_its_loader_is_called(opened, tmp_path):
    weights, digest = tmp_path / "weights.bin", hashlib.sha256(b"right").hexdigest()
    table = {"loader": "speech", "path": str(weights), "checksum": f"sha256:{digest}"}
    manager = await opened(whisper=table)
    assert (await listed(manager, "whisper")).state_reason == (
        "weights.bin: cannot be read: No such file or directory; put it there, or correct `path`"
    )
    with pytest.raises(ModelFileInvalid, match="weights.bin: .*No such file"):
        await manager.get("whisper")

    weights.write_bytes(b"wrong")
    assert (await listed(manager, "whisper")).file.problem is None
    with pytest.raises(ModelFileInvalid, match="checksum sha256: expected"):
        await manager.get("whisper")
    info = await listed(manager, "whisper")
    assert (info.state, info.file.sha256 is not None) == (ModelState.FAILED, True)

    weights.write_bytes(b"right")
    whisper = await manager.get("whisper")
    assert whisper.path == str(weights)
    info = await listed(manager, "whisper")
    assert (info.size_bytes, info.file.sha256, info.digest) == (5, digest, digest)


async def test_the_checksum_may_stand_where_those_of_all_models_do(opened, tmp_path):
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"wrong")
    files = {"whisper": {"checksum": "md5:" + "0" * 32}}
    manager = await opened(whisper={"loader": "speech", "path": str(weights)}, files=files)
    with pytest.raises(ModelFileInvalid, match="checksum md5: expected 00000000"):
        await manager.get("whisper")


async def test_a_folder_counts_with_all_files_below_it_and_has_no_checksum(opened, tmp_path):
    folder = tmp_path / "whisper" / "deep"
    folder.mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"12345")
    (folder.parent / "b.bin").write_bytes(b"123")
    good = {"loader": "speech", "path": str(folder.parent)}
    manager = await opened(good=good, bad={**good, "checksum": "md5:" + "0" * 32})
    assert (await manager.get("good")).path == str(folder.parent)
    assert (await listed(manager, "good")).size_bytes == 8
    with pytest.raises(ModelFileInvalid, match="no checksum; name a file in it"):
        await manager.get("bad")


async def test_a_file_that_changes_under_a_loaded_object_is_noticed(opened, tmp_path):
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"old")
    manager = await opened(whisper={"loader": "speech", "path": str(weights)})
    await manager.get("whisper")
    assert (await listed(manager, "whisper")).warning is None
    weights.write_bytes(b"newer")
    assert "has changed since" in (await listed(manager, "whisper")).warning
    assert any("has changed since" in it.text for it in (await manager.health()).degradation)
    await manager.unload("whisper")
    await manager.get("whisper")
    assert (await listed(manager, "whisper")).warning is None


async def test_a_path_that_is_neither_file_nor_folder_is_not_read(opened, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    manager = await opened(it={"loader": "speech", "path": str(tmp_path / "pipe")})
    with pytest.raises(ModelFileInvalid, match="neither a file nor a folder"):
        await manager.get("it")


async def test_the_memory_that_an_object_took_is_told(opened):
    manager = await opened()
    manager.register("large", loader=lambda: bytearray(os.urandom(1 << 20) * 64))
    await manager.get("large")
    loaded = (await listed(manager, "large")).loaded
    assert loaded.memory_bytes > 48 << 20
    assert loaded.parallel == 1


async def test_a_required_object_is_loaded_at_the_start_and_tried_again(opened):
    tries = []

    def loader():
        tries.append(1)
        if len(tries) == 1:
            raise OSError("not yet")
        return Speech()

    registry = Registry()
    registry.register("whisper", loader=loader, required=True, load_at_start=True)
    manager = await opened(registry=registry)
    assert manager.required.models == ("whisper",)
    await manager.start.ended()
    assert len(tries) == 2
    assert (await manager.health()).unready == ()


async def test_a_required_object_that_can_not_be_loaded_makes_all_unhealthy(opened):
    def loader():
        raise OSError("no such device")

    manager = await opened()
    manager.register("camera", loader=loader, required=True)
    manager.register("mood", loader=loader)
    assert (await manager.health()).status == "degraded"
    for name in ("mood", "camera"):
        with pytest.raises(BackendError):
            await manager.get(name)
    health = await manager.health()
    assert health.status == "unhealthy"
    assert "no such device" in health.errors["python/camera"]


async def test_objects_registered_after_the_start_are_served_at_once(opened):
    manager = await opened(ScriptedBackend())
    assert set((await manager.health()).instances) == {"here"}
    assert len(await manager.models()) == 2
    manager.register("whisper", loader=Speech, load_at_start=True)
    await manager.start.ended()
    assert (await listed(manager, "python/whisper")).state is ModelState.READY
    assert set((await manager.health()).instances) == {"here", "python"}


async def test_where_nothing_serves_them_objects_are_refused(opened):
    opening = orac_core.open(
        parse({"backends": {"python": {"kind": "scripted"}}}, "a test"),
        plugins=installed(ScriptedBackend()),
        environ={},
        sensors=NoSensors(),
    )
    async with opening as manager:
        with pytest.raises(ConfigurationError, match="no backend of kind 'python' is open"):
            manager.register("it", loader=Speech)


async def test_an_engine_in_another_process_hands_out_nothing(opened):
    manager = await opened(ScriptedBackend())
    with pytest.raises(InvalidRequest, match="here/small is no object of this process"):
        await manager.get("small")


async def test_an_object_that_is_lent_stays_until_it_is_given_back(opened):
    manager = await opened(whisper={"loader": "speech"}, files={"whisper": {"keep_alive": 0}})
    async with manager.lend("whisper") as whisper:
        unload = asyncio.create_task(manager.unload("whisper"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not whisper.closed
        assert (await listed(manager, "whisper")).state is not ModelState.STOPPED
    await unload
    assert whisper.closed
    await manager.get("whisper")
    await until(lambda: not any(each.busy for each in manager._fleet.slots.values()))


async def test_an_unload_by_force_ends_what_is_done_with_the_object(opened):
    manager = await opened(whisper={"loader": "speech"})

    async def use():
        async with manager.lend("whisper"):
            begun.set()
            await asyncio.Event().wait()

    begun = asyncio.Event()
    using = asyncio.create_task(use())
    await begun.wait()
    await manager.unload("whisper", force=True)
    with pytest.raises(StateConflict, match="unloaded by force"):
        await using


async def test_the_end_of_orac_ends_what_is_done_with_the_object(opened):
    manager = await opened(whisper={"loader": "speech"})

    async def use():
        async with manager.lend("whisper") as whisper:
            begun.set_result(whisper)
            await asyncio.Event().wait()

    begun = asyncio.get_running_loop().create_future()
    using = asyncio.create_task(use())
    await begun
    await manager.close()
    with pytest.raises(ShuttingDown):
        await using
    with pytest.raises(ShuttingDown):
        await manager.get("whisper")


async def test_an_error_of_the_borrower_stays_what_it_is(opened):
    manager = await opened(whisper={"loader": "speech"})
    with pytest.raises(TimeoutError, match="mine"):
        async with manager.lend("whisper"):
            raise TimeoutError("mine")
    await manager.unload("whisper")


async def test_a_backend_that_has_lost_the_object_says_so(opened, monkeypatch):
    manager = await opened(whisper={"loader": "speech"})
    await manager.get("whisper")

    async def lost(self, model):
        raise BackendUnavailable("gone")

    monkeypatch.setattr(Instance, "obtain", lost)
    with pytest.raises(BackendUnavailable, match="gone"):
        await manager.get("whisper")
    monkeypatch.undo()
    assert (await manager.get("whisper")).transcribe()


async def test_two_backends_do_not_both_serve_what_is_registered():
    data = {"backends": {name: {"kind": "python"} for name in ("first", "second")}}
    opening = orac_core.open(
        parse(data, "a test"), plugins=installed(), environ={}, sensors=NoSensors()
    )
    async with opening as manager:
        manager.register("it", loader=Speech)
        assert [each.instance for each in await manager.models()] == ["first"]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"loader": "no_colon"}, "'loader' must be written 'package.module:function': no_colon"),
        ({"loader": "os:system(1)"}, "'loader' must be written"),
        ({"loader": ".os:getcwd"}, "'loader' must be written"),
        ({}, 'lacks "loader"'),
        ({"loader": "a:b", "checksum": "0"}, "'checksum' must be sha256:"),
        ({"loader": "a:b", "checksum": "md5:" + "0" * 32}, "say which file"),
        ({"loader": "a:b", "path": "x", "kwargs": {"path": "y"}}, "say it once"),
        ({"loader": "a:b", "parallel": 0}, "'parallel' must be >= 1"),
        ({"loader": "a:b", "start_timeout_s": 0}, "'start_timeout_s' must be > 0"),
        ({"loader": "a:b", "capabilities": ["flight"]}, "may hold completion, chat, embedding"),
        ({"loader": "a:b", "check": "c"}, "'check' must be written"),
        ({"loader": "a:b", "lodaer": "c"}, 'extra field "lodaer"'),
    ],
)
async def test_every_mistake_in_a_table_is_named_with_its_place(table, problem):
    data = {"backends": {"mine": {"kind": "python", "models": {"it": table, "ok": table}}}}
    with pytest.raises(ConfigurationError) as raised:
        async with orac_core.open(parse(data, "a test"), plugins=installed(), environ={}):
            pass
    assert problem in str(raised.value)
    assert len(raised.value.problems) == 2
    assert "backends.mine.models.it" in raised.value.problems[0]


async def test_objects_wait_in_the_queue_like_every_model(opened, slow):
    limits = Limits(drain_s=0.05, max_concurrency=1, max_queue=0)
    manager = await opened(limits=limits)
    manager.register("it", loader=lambda: slow.plain)
    await manager.load(LoadRequest("it"))
    first = asyncio.create_task(manager.answer(ask("it", "first")))
    await until(slow.reached.is_set)
    with pytest.raises(QueueFull):
        await manager.answer(ask("it", "second"))
    slow.gate.set()
    assert (await first).text == "first"
