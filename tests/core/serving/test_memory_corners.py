"""What the simulation found about models that share the memory, each reduced to a few steps."""

import asyncio
import math

import pytest
from attrs import define

from orac_core import (
    BackendError,
    BackendUnavailable,
    InsufficientMemory,
    Limits,
    LoadRequest,
    ModelInfo,
    ModelManager,
    ModelState,
    hookimpl,
)
from orac_core.memory import Capacity, Resident, Space, demand, explained, plan
from tests.core.serving.test_memory import GIB, Board, ask, load, loaded, play


@define(eq=False)
class SlowBoard(Board):
    """An engine that may be held up while it unloads a model, or keep one."""

    stubborn: str = ""
    surveys: int = 0

    @hookimpl
    async def models(self) -> list[ModelInfo]:
        self.surveys += 1
        found: list[ModelInfo] = await super().models()
        return found

    @hookimpl
    async def unload(self, model: str) -> None:
        if model == self.stubborn:
            raise BackendError("it does not go")
        await self._pass("unload")
        await super().unload(model)


async def found(manager: ModelManager, model: str, state: ModelState) -> None:
    """Wait until *model* is in that state."""
    while (await manager.find(model)).info.state is not state:
        await asyncio.sleep(0.1)


def test_the_memory_of_a_model_that_is_being_unloaded_is_waited_for():
    async def scene(board: Board, manager: ModelManager) -> None:
        await load(manager, "small")
        gate = board.hold("unload")
        unload = asyncio.create_task(manager.unload("small"))
        await board.reached["unload"].wait()
        asyncio.get_running_loop().call_later(30, gate.set)
        await load(manager, "large")
        await unload
        assert await loaded(manager) == {"large"}

    play(scene, board=SlowBoard())


def test_a_model_that_is_wanted_again_while_it_is_being_unloaded_is_waited_for_in_peace():
    async def scene(board: Board, manager: ModelManager) -> None:
        assert isinstance(board, SlowBoard)
        await load(manager, "small")
        gate = board.hold("unload")
        unload = asyncio.create_task(manager.unload("small"))
        await board.reached["unload"].wait()
        large = asyncio.create_task(load(manager, "large"))
        again = asyncio.create_task(ask(manager, "small"))
        await asyncio.sleep(1)
        before = board.surveys
        await asyncio.sleep(30)
        assert board.surveys == before
        gate.set()
        await asyncio.gather(unload, large)
        assert (await again).text == "one two three"

    play(scene, board=SlowBoard())


def test_memory_that_comes_back_late_after_an_unload_is_waited_for():
    async def scene(board: Board, manager: ModelManager) -> None:
        board.back_after_s = 3.0
        await load(manager, "small")
        await manager.unload("small")
        await load(manager, "large")
        assert await loaded(manager) == {"large"}

    play(scene)


def test_memory_that_is_on_its_way_back_spares_other_models():
    async def scene(board: Board, manager: ModelManager) -> None:
        board.back_after_s = 3.0
        board.machine.others_bytes = GIB // 4
        await load(manager, "small")
        await load(manager, "middle")
        await manager.unload("middle")
        assert (await load(manager, "middle")).evicted == ()

    play(scene)


def test_a_model_that_shall_not_stay_answers_before_it_goes():
    async def scene(board: Board, manager: ModelManager) -> None:
        assert (await ask(manager, "small")).text == "one two three"
        assert board.count("load") == 1
        await found(manager, "small", ModelState.STOPPED)

    play(scene, keep_alive=0)


def test_a_model_that_shall_not_stay_goes_also_when_its_answer_was_given_up():
    async def scene(board: Board, manager: ModelManager) -> None:
        board.hold("first")
        lost = asyncio.create_task(ask(manager, "small"))
        await board.reached["first"].wait()
        lost.cancel()
        await found(manager, "small", ModelState.STOPPED)

    play(scene, keep_alive=0)


def test_a_pinned_model_stays_whatever_a_load_says():
    async def scene(board: Board, manager: ModelManager) -> None:
        await load(manager, "small", keep_alive_s=10)
        await asyncio.sleep(11)
        await load(manager, "small", keep_alive_s=10)
        await asyncio.sleep(11)
        assert await loaded(manager) == {"small"}

    play(scene, files={"small": {"pinned": True}})


def test_who_joins_a_load_may_say_how_long_the_model_stays():
    async def scene(board: Board, manager: ModelManager) -> None:
        first = asyncio.create_task(load(manager, "small"))
        await asyncio.sleep(0.5)
        await load(manager, "small", keep_alive_s=10)
        await first
        await asyncio.sleep(11)
        assert await loaded(manager) == set()

    play(scene)


def test_a_prompt_takes_a_load_that_somebody_asked_for_in_another_way_than_the_manifest():
    async def scene(board: Board, manager: ModelManager) -> None:
        by_hand = asyncio.create_task(load(manager, "small", context_length=512))
        await asyncio.sleep(0.5)
        assert (await ask(manager, "small")).text == "one two three"
        await by_hand

    play(scene, files={"small": {"context_length": 1024}})


def test_the_first_that_waits_for_a_load_that_hangs_waits_no_longer_than_the_others():
    async def scene(board: Board, manager: ModelManager) -> None:
        board.hold("load")
        hanging = asyncio.create_task(load(manager, "small"))
        await board.reached["load"].wait()
        with pytest.raises(BackendError, match="waited 100 s for its turn while here/small"):
            await load(manager, "large")
        board.gates["load"].set()
        await hanging

    play(scene, limits=Limits(turn_s=100))


def test_a_model_that_is_lost_while_it_shall_make_room_is_loaded_again_for_those_who_wait():
    async def scene(board: Board, manager: ModelManager) -> None:
        await load(manager, "small")
        board.hold("first")
        prompts = [asyncio.create_task(ask(manager, "small")) for _ in range(2)]
        await board.reached["first"].wait()
        large = asyncio.create_task(load(manager, "large"))
        await asyncio.sleep(1)
        board.failures["first"] = BackendUnavailable("the engine has died")
        board.loaded.clear()
        board.machine.give_back("small")
        board.gates.pop("first").set()
        await large
        del board.failures["first"]
        ended = await asyncio.gather(*prompts, return_exceptions=True)
        assert all(str(each) != "small was unloaded while it was loading" for each in ended)

    play(scene)


def test_where_one_model_can_not_be_unloaded_another_makes_room():
    async def scene(board: Board, manager: ModelManager) -> None:
        assert isinstance(board, SlowBoard)
        await load(manager, "small")
        await load(manager, "other")
        board.stubborn = "other"
        board.machine.others_bytes = GIB // 2
        await asyncio.sleep(60)
        await ask(manager, "small")
        assert (await load(manager, "middle")).evicted == ("here/small",)
        assert await loaded(manager) == {"other", "middle"}
        board.machine.others_bytes = 0
        with pytest.raises(InsufficientMemory, match=r"other .1.0 GiB. is kept by its engine: it"):
            await load(manager, "large")

    play(scene, board=SlowBoard())


def test_a_model_whose_load_failed_and_left_it_there_expires_all_the_same():
    async def scene(board: Board, manager: ModelManager) -> None:
        board.failures = {"canary": BackendError("lost"), "unload": BackendError("lost")}
        with pytest.raises(BackendError):
            await load(manager, "small")
        board.failures.clear()
        assert await loaded(manager) == {"small"}
        await asyncio.sleep(31)
        assert await loaded(manager) == set()

    play(scene, board=SlowBoard(), keep_alive=30)


def test_a_model_whose_unload_failed_counts_as_one_that_may_go():
    async def scene(board: Board, manager: ModelManager) -> None:
        await load(manager, "small")
        gate = board.hold("models")
        planned = asyncio.create_task(manager.plan(LoadRequest("large")))
        await board.reached["models"].wait()
        board.failures["unload"] = BackendError("lost")
        with pytest.raises(BackendError):
            await manager._fleet.slots["here", "small"].unload(force=False)
        gate.set()
        assert [each.name for each in (await planned).evict] == ["here/small"]

    play(scene, board=SlowBoard())


def test_a_model_that_was_never_used_is_said_to_be_so():
    needs = demand(ModelInfo("large", size_bytes=4 * GIB), LoadRequest("large"))
    resident = Resident("here/small", Space(GIB), idle_s=math.inf)
    found = plan("here/large", needs, Capacity(Space(4 * GIB)), [resident])
    assert "would evict here/small (1.0 GiB, not used yet)" in explained(found)


def test_a_model_that_another_program_loaded_does_not_expire():
    async def scene(board: Board, manager: ModelManager) -> None:
        await load(manager, "small")
        board.loaded.clear()
        assert await loaded(manager) == set()
        board.loaded["small"] = LoadRequest("small")
        await ask(manager, "small")
        await asyncio.sleep(3600)
        assert await loaded(manager) == {"small"}

    play(scene, keep_alive=30)


def test_a_model_that_a_load_has_pinned_makes_no_room():
    async def scene(board: Board, manager: ModelManager) -> None:
        await load(manager, "small", pinned=True)
        with pytest.raises(InsufficientMemory, match="here/small .* is pinned"):
            await load(manager, "large")
        await load(manager, "small", pinned=False)
        await load(manager, "large")
        assert await loaded(manager) == {"large"}

    play(scene)
