"""Models that do not all fit into the memory, on virtual time."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest
from attrs import define, evolve, field

import orac_core
from orac_core import (
    BackendUnavailable,
    GenerateRequest,
    InsufficientMemory,
    Limits,
    LoadedInfo,
    LoadProgress,
    LoadRequest,
    Message,
    ModelInfo,
    ModelManager,
    ModelState,
    hookimpl,
)
from orac_core.manifest import parse
from orac_core.memory import explained
from tests.scripted import ScriptedBackend, ScriptedSettings, plugins
from tests.simulation import loop
from tests.simulation.machine import SimulatedMachine, SimulatedSensors

GIB = 1 << 30
SIZES = {"small": GIB, "other": GIB, "middle": 3 * GIB // 2, "large": 3 * GIB, "huge": 40 * GIB}
"""What each model has on the disk, and takes in memory. Beforehand it is reckoned to take an
eighth and 256 MiB more."""

Scene = Callable[["Board", ModelManager], Awaitable[None]]


@define(eq=False)
class Board(ScriptedBackend):
    """An engine whose models take memory of a machine with 4 GiB, and time to load."""

    settings: ScriptedSettings = field(factory=lambda: ScriptedSettings(tuple(SIZES)))
    machine: SimulatedMachine = field(factory=lambda: SimulatedMachine(4 * GIB))
    load_s: float = 1.0
    word_s: float = 0.0
    back_after_s: float = 0.0
    at_once: int = 0
    most_at_once: int = 0
    preparing: int = 0
    most_preparing: int = 0
    prepare_s: float = 0.0

    def _info(self, name: str) -> ModelInfo:
        info = evolve(super()._info(name), size_bytes=SIZES[name])
        loaded = info.loaded and evolve(info.loaded, memory_bytes=SIZES[name])
        return evolve(info, loaded=loaded, would_use=LoadedInfo(512, 0, 1))

    @hookimpl
    async def load(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        self.preparing += 1
        self.most_preparing = max(self.preparing, self.most_preparing)
        try:
            yield LoadProgress("validate")
            await asyncio.sleep(self.prepare_s)
        finally:
            self.preparing -= 1
        yield LoadProgress("read")
        self.calls.append(("load", request.model))
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep(self.load_s)
            await self._pass("load")
            self.machine.take(request.model, SIZES[request.model])
            self.loaded[request.model] = request
        finally:
            self.at_once -= 1

    @hookimpl
    async def unload(self, model: str) -> None:
        self.calls.append(("unload", model))
        self.loaded.pop(model, None)
        self.machine.give_back(model, self.back_after_s)

    async def _pass(self, step: str) -> None:
        if step.startswith("word"):
            await asyncio.sleep(self.word_s)
        if step == "word 0" and step in self.failures:
            self.loaded.clear()
            self.machine.held.clear()
        await super()._pass(step)


def play(
    scene: Scene, *, limits: Limits | None = None, board: Board | None = None, **models
) -> Board:
    """Run *scene* on virtual time; *models* is the table of the manifest."""
    board = board or Board()

    async def on_stage() -> None:
        data = {"backends": {"here": {"kind": "scripted"}}, "models": models}
        async with orac_core.open(
            parse(data, "test"),
            plugins=plugins(board),
            limits=limits,
            environ={},
            sensors=SimulatedSensors(machine=board.machine),
        ) as manager:
            await scene(board, manager)

    loop.run(on_stage)
    assert not board.machine.sins
    return board


async def load(manager: ModelManager, model: str, **options) -> orac_core.Loaded:
    return await manager.load(LoadRequest(model, **options))


async def ask(manager: ModelManager, model: str, **options) -> orac_core.Answer:
    return await manager.answer(
        GenerateRequest(model, messages=(Message("user", "count"),), **options)
    )


async def loaded(manager: ModelManager) -> set[str]:
    return {it.info.id for it in await manager.models() if it.info.state is ModelState.READY}


def test_a_model_that_fits_beside_the_others_is_loaded_beside_them():
    async def scene(board: Board, manager: ModelManager) -> None:
        await load(manager, "small")
        assert (await load(manager, "other")).evicted == ()
        assert await loaded(manager) == {"small", "other"}

    play(scene)


def test_the_least_recently_used_model_makes_room():
    async def scene(board: Board, manager: ModelManager) -> None:
        await load(manager, "small")
        await load(manager, "other")
        await asyncio.sleep(60)
        await ask(manager, "small")
        board.machine.others_bytes = GIB // 2
        assert (await load(manager, "middle")).evicted == ("here/other",)
        assert await loaded(manager) == {"small", "middle"}

    play(scene)


def test_a_model_that_fits_in_no_way_is_refused_with_the_numbers_and_nothing_goes():
    async def scene(board: Board, manager: ModelManager) -> None:
        await load(manager, "small")
        with pytest.raises(InsufficientMemory) as caught:
            await load(manager, "huge")
        text = str(caught.value)
        assert text.startswith(
            "here/huge needs 45.2 GiB (guessed from its size), 3.0 GiB available"
        )
        assert "it does not fit even without here/small (1.0 GiB, idle" in text
        assert (caught.value.needed_bytes, caught.value.available_bytes) == (
            SIZES["huge"] * 9 // 8 + (256 << 20),
            3 * GIB,
        )
        assert await loaded(manager) == {"small"}
        assert ("load", "huge") not in board.calls

    play(scene)


def test_force_loads_it_all_the_same():
    async def scene(board: Board, manager: ModelManager) -> None:
        board.machine.others_bytes = GIB
        await load(manager, "large", force=True)
        assert await loaded(manager) == {"large"}

    play(scene)


@pytest.mark.parametrize("wish", ["pinned", "required"])
def test_a_model_that_is_pinned_or_required_never_makes_room(wish):
    async def scene(board: Board, manager: ModelManager) -> None:
        await load(manager, "small")
        with pytest.raises(InsufficientMemory, match=f"here/small .1.0 GiB. is {wish}"):
            await load(manager, "large")
        assert await loaded(manager) == {"small"}

    play(scene, files={"small": {wish: True}})


def test_a_model_that_another_program_loaded_is_left_alone():
    async def scene(board: Board, manager: ModelManager) -> None:
        board.loaded["small"] = LoadRequest("small")
        board.machine.take("small", GIB)
        with pytest.raises(InsufficientMemory, match="loaded by another program; `orac unload"):
            await load(manager, "large")

    play(scene)


def test_a_running_answer_ends_before_its_model_makes_room():
    async def scene(board: Board, manager: ModelManager) -> None:
        board.word_s = 20
        await load(manager, "small")
        answer = asyncio.create_task(ask(manager, "small"))
        await asyncio.sleep(1)
        assert (await load(manager, "large")).evicted == ("here/small",)
        assert (await answer).text == "one two three"

    play(scene)


def test_an_answer_that_does_not_end_keeps_its_model_and_the_load_says_so():
    async def scene(board: Board, manager: ModelManager) -> None:
        board.word_s = 500
        await load(manager, "small")
        answer = asyncio.create_task(ask(manager, "small"))
        await asyncio.sleep(1)
        with pytest.raises(InsufficientMemory, match="did not come free within 120 s"):
            await load(manager, "large")
        assert (await answer).text == "one two three"

    play(scene)


def test_memory_that_comes_back_late_is_waited_for():
    async def scene(board: Board, manager: ModelManager) -> None:
        board.back_after_s = 3.0
        await load(manager, "small")
        await load(manager, "large")
        assert await loaded(manager) == {"large"}

    play(scene)


def test_loads_that_do_not_fit_together_take_turns_and_those_that_do_go_side_by_side():
    async def scene(board: Board, manager: ModelManager) -> None:
        await asyncio.gather(load(manager, "small"), load(manager, "other"))
        assert board.most_at_once == 2
        await manager.unload("other")
        board.most_at_once, board.machine.others_bytes = 0, GIB // 4
        await asyncio.gather(load(manager, "large"), load(manager, "small"))
        assert board.most_at_once == 1

    play(scene)


def test_files_are_checked_side_by_side_but_no_more_than_so_many():
    async def scene(board: Board, manager: ModelManager) -> None:
        board.prepare_s = 5.0
        board.machine.total_bytes = 100 * GIB
        await asyncio.gather(*(load(manager, name) for name in SIZES))
        assert board.most_preparing == 2

    play(scene, limits=Limits(max_workers=2))


def test_two_models_in_turn_are_gathered_and_both_are_answered():
    async def scene(board: Board, manager: ModelManager) -> None:
        board.word_s, board.load_s = 0.3, 10
        started = asyncio.get_running_loop().time()

        async def client(model: str) -> None:
            for _ in range(30):
                await ask(manager, model)

        await asyncio.gather(*(client(name) for name in ["small", "large"] * 3))
        took = asyncio.get_running_loop().time() - started
        assert board.count("generate") == 180
        assert board.count("load") <= 2 + took / 20  # each stays for twice the time of its load

    board = play(scene)
    assert board.count("load") < 12


def test_what_a_load_took_is_what_the_next_one_is_reckoned_to_take():
    async def scene(board: Board, manager: ModelManager) -> None:
        assert (await manager.plan(LoadRequest("small"))).demand.basis == "size"
        await load(manager, "small")
        await manager.unload("small")
        demand = (await manager.plan(LoadRequest("small"))).demand
        assert (demand.basis, demand.total_bytes) == ("measured", GIB)

    play(scene)


def test_a_plan_changes_nothing_and_says_who_would_go():
    async def scene(board: Board, manager: ModelManager) -> None:
        await load(manager, "small")
        await asyncio.sleep(720)
        plan = await manager.plan(LoadRequest("large"))
        assert explained(plan) == (
            "here/large needs 3.6 GiB (guessed from its size), 3.0 GiB available, 1.5 GiB of it "
            "page cache; would evict here/small (1.0 GiB, idle 12 min)"
        )
        assert await loaded(manager) == {"small"}
        assert (await manager.plan(LoadRequest("small"))).loaded

    play(scene)


def test_a_model_expires_when_nobody_used_it_for_so_long():
    async def scene(board: Board, manager: ModelManager) -> None:
        await load(manager, "small", keep_alive_s=60)
        await asyncio.sleep(59)
        await ask(manager, "small")
        await asyncio.sleep(59)
        assert await loaded(manager) == {"small"}
        await asyncio.sleep(2)
        assert await loaded(manager) == set()

    play(scene)


def test_a_model_that_was_taken_for_lost_and_is_found_again_expires_all_the_same():
    async def scene(board: Board, manager: ModelManager) -> None:
        await load(manager, "small", keep_alive_s=60)
        board.failures["first"] = BackendUnavailable("for a moment nobody answered")
        board.failures["load"] = BackendUnavailable("nor now")
        with pytest.raises(BackendUnavailable):
            await ask(manager, "small")
        board.loaded["small"] = LoadRequest("small")
        assert await loaded(manager) == {"small"}
        assert (await manager.find("small")).info.expires_at is not None
        await asyncio.sleep(61)
        assert await loaded(manager) == set()

    play(scene)


def test_the_time_a_model_has_left_is_told():
    async def scene(board: Board, manager: ModelManager) -> None:
        manager._fleet.wall = lambda: 5000.0
        await load(manager, "small", keep_alive_s=60)
        await asyncio.sleep(10)
        assert (await manager.find("small")).info.expires_at == pytest.approx(5050, abs=1)
        await load(manager, "small", keep_alive_s=float("inf"))
        assert (await manager.find("small")).info.expires_at is None

    play(scene)


@pytest.mark.parametrize(
    ("models", "kept"),
    [
        ({"keep_alive": "30s"}, False),
        ({"keep_alive": 30, "files": {"small": {"keep_alive": -1}}}, True),
        ({"files": {"small": {"keep_alive": "30s"}}}, False),
        ({"keep_alive": "30s", "files": {"small": {"pinned": True}}}, True),
        ({}, True),
    ],
)
def test_the_manifest_says_how_long_a_model_is_kept(models, kept):
    async def scene(board: Board, manager: ModelManager) -> None:
        await load(manager, "small")
        await asyncio.sleep(31)
        assert (await loaded(manager) == {"small"}) == kept

    play(scene, **models)


def test_a_prompt_may_have_its_model_unloaded_right_after_the_answer():
    async def scene(board: Board, manager: ModelManager) -> None:
        await ask(manager, "small", keep_alive_s=0)
        await asyncio.sleep(0.1)
        assert await loaded(manager) == set()

    play(scene)


def test_a_long_answer_does_not_expire():
    async def scene(board: Board, manager: ModelManager) -> None:
        board.word_s = 100
        await load(manager, "small", keep_alive_s=10)
        assert (await ask(manager, "small")).text == "one two three"
        assert await loaded(manager) == {"small"}

    play(scene)


def test_models_are_loaded_at_the_start_and_one_that_fails_stops_no_other():
    async def scene(board: Board, manager: ModelManager) -> None:
        assert manager.start.pending == {"small", "huge", "nobody"}
        await manager.start.ended()
        assert await loaded(manager) == {"small"}
        health = await manager.health()
        assert "model 'nobody' not found" in manager.start.failures["nobody"]
        assert {each.subject for each in health.degradation} == {"here/huge", "nobody"}

    files = {name: {"load_at_start": True} for name in ("huge", "small", "nobody")}
    play(scene, files=files, retries=1)


def test_a_start_that_fails_is_tried_again_after_longer_and_longer_pauses():
    async def scene(board: Board, manager: ModelManager) -> None:
        board.load_s = 0
        board.failures["load"] = BackendUnavailable("the engine is not there yet")
        clock, begun = asyncio.get_running_loop().time, asyncio.get_running_loop().time()
        await manager.start.ended()
        assert board.count("load") == 4
        assert clock() - begun == pytest.approx(0.5 + 1 + 2, abs=0.2)
        assert manager.start.failures == {"small": "the engine is not there yet"}

    play(scene, files={"small": {"load_at_start": True}}, retries=3)


def test_a_model_that_crashes_is_loaded_again_later_and_later_and_then_no_more():
    async def scene(board: Board, manager: ModelManager) -> None:
        board.load_s = 0
        board.failures["word 0"] = BackendUnavailable("the engine has died")
        clock, pauses = asyncio.get_running_loop().time, []
        for _ in range(5):
            begun = clock()
            with pytest.raises(BackendUnavailable, match="has died"):
                await ask(manager, "small")
            pauses.append(round(clock() - begun, 1))
        assert pauses == [0, 0, 0.5, 1, 2]
        with pytest.raises(
            BackendUnavailable, match="failed 5 times in a row.*orac load"
        ) as caught:
            await ask(manager, "small")
        assert 500 < caught.value.retry_after_s <= 600
        del board.failures["word 0"]
        await load(manager, "small")
        assert (await ask(manager, "small")).text == "one two three"

    play(scene)
