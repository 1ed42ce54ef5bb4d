"""Canaries: asked while nothing else goes on, and gone as soon as somebody comes. Virtual time."""

import asyncio
from collections.abc import AsyncGenerator
from itertools import pairwise

import pytest
from attrs import define, field

from orac_core import BackendError, Chunk, Instance, Plugins, Rates, Usage, hookimpl
from orac_core.serving.canaries import QUIET_S, TOKENS, Canaries
from tests.scripted import ScriptedBackend
from tests.simulation import loop

SONG_S = 3.0


@define(eq=False)
class Aviary(ScriptedBackend):
    """An engine that takes three seconds for each canary."""

    tokens: int = TOKENS
    error: Exception | None = None
    begun_at: list[float] = field(factory=list)
    ended: int = 0

    @hookimpl
    async def generate(self, request) -> AsyncGenerator[Chunk, None]:
        self.begun_at.append(loop.running().time())
        self.generating += 1
        try:
            await asyncio.sleep(SONG_S)
            if self.error:
                raise self.error
            yield Chunk("one two three")
            self.ended += 1
            rates = Rates(decode_tokens_per_second=10.0)
            yield Chunk(done=True, finish_reason="length", usage=Usage(9, self.tokens), rates=rates)
        finally:
            self.generating -= 1


@define(eq=False)
class Model:
    """What canaries are asked of."""

    instance: Instance
    model: str = "small"
    metered: bool = False

    @property
    def key(self):
        return self.instance.name, self.model


@define(eq=False)
class Scene:
    """Canaries of one model, of which five are wanted."""

    backend: Aviary = field(factory=Aviary)
    wanted: int = 5
    rates: list[float] = field(factory=list)
    occupied: bool = False
    canaries: Canaries = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.canaries = Canaries(lambda: self.occupied)

    def begin(self, name: str = "small") -> None:
        model = Model(Plugins().bind("local", self.backend), name)
        self.canaries.begin(model, self._more, self.rates.append)

    async def _more(self) -> bool:
        return len(self.rates) < self.wanted


def played(play, **given):
    """Run *play* with a scene and return the scene; nothing is left of it."""

    async def whole():
        scene = Scene(**given)
        await play(scene)
        await scene.canaries.close()
        assert len(asyncio.all_tasks()) == 1
        assert scene.backend.generating == 0
        assert loop.running().complaints == []
        return scene

    return loop.run(whole)


def test_as_many_are_heard_as_are_wanted_one_after_the_other_and_one_before_to_warm_up():
    async def play(scene):
        scene.begin()
        await asyncio.sleep(100)

    scene = played(play)
    assert scene.rates == [10.0] * 5
    begun = scene.backend.begun_at
    assert [later - earlier for earlier, later in pairwise(begun)] == [SONG_S] * 5


def test_none_is_asked_while_something_else_goes_on():
    async def play(scene):
        scene.occupied = True
        scene.begin()
        await asyncio.sleep(100)
        assert scene.backend.begun_at == []
        scene.occupied = False
        await asyncio.sleep(100)

    assert len(played(play).rates) == 5


def test_one_that_is_being_answered_makes_way_and_is_begun_again_after_a_quiet_time():
    async def play(scene):
        scene.begin()
        await asyncio.sleep(1)
        came_at = loop.running().time()
        scene.canaries.make_way()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert scene.backend.generating == 0
        await asyncio.sleep(100)
        assert scene.backend.begun_at[1] == came_at + QUIET_S

    scene = played(play)
    assert len(scene.rates) == 5
    assert len(scene.backend.begun_at) == 6


def test_a_model_that_leaves_is_asked_no_more():
    async def play(scene):
        scene.begin()
        await asyncio.sleep(2.5 * SONG_S)
        scene.canaries.leave(("local", "small"))
        await asyncio.sleep(100)

    assert len(played(play).rates) == 1


def test_models_are_asked_one_after_the_other():
    async def play(scene):
        scene.begin("small")
        scene.begin("large")
        await asyncio.sleep(1)
        assert scene.backend.generating == 1
        await asyncio.sleep(100)

    assert len(played(play).rates) == 5


def test_a_second_load_begins_anew_and_leaves_no_first_one_behind():
    async def play(scene):
        scene.begin()
        await asyncio.sleep(1)
        scene.begin()
        await asyncio.sleep(100)

    assert len(played(play).rates) == 5


def test_an_answer_that_is_too_short_is_no_measure_and_the_last():
    async def play(scene):
        scene.begin()
        await asyncio.sleep(100)

    scene = played(play, backend=Aviary(tokens=TOKENS // 2 - 1))
    assert scene.rates == []
    assert scene.backend.ended == 1


def test_a_model_that_fails_is_asked_no_more():
    async def play(scene):
        scene.begin()
        await asyncio.sleep(100)

    scene = played(play, backend=Aviary(error=BackendError("broken")))
    assert scene.rates == []
    assert len(scene.backend.begun_at) == 1


def test_someone_who_comes_again_and_again_ends_the_asking():
    async def play(scene):
        scene.begin()
        for _ in range(1000):
            scene.canaries.make_way()
            await asyncio.sleep(QUIET_S + 1)

    scene = played(play)
    assert scene.rates == []
    assert len(scene.backend.begun_at) == 50


def test_none_is_asked_where_they_are_off():
    async def play(scene):
        scene.canaries.on = False
        scene.begin()
        await asyncio.sleep(100)

    assert played(play).backend.begun_at == []


def test_closing_ends_the_one_that_is_being_answered():
    async def play(scene):
        scene.begin()
        await asyncio.sleep(1)
        assert scene.backend.generating == 1

    assert played(play).rates == []


def now() -> float:
    """Seconds since the scene began."""
    return loop.running().time() - loop.START_S


def asked_at_once(scene, canaries=3):
    singer = Model(Plugins().bind("local", scene.backend))
    return asyncio.create_task(scene.canaries.at_once(singer, canaries))


def test_those_asked_at_once_are_given_without_the_one_that_warms_up():
    async def play(scene):
        assert await asked_at_once(scene) == (10.0,) * 3
        assert now() == 4 * SONG_S

    assert len(played(play).backend.begun_at) == 4


def test_those_asked_at_once_come_before_those_of_a_load_which_go_on_afterwards():
    async def play(scene):
        scene.begin("large")
        await asyncio.sleep(1)
        assert await asked_at_once(scene) == (10.0,) * 3
        assert scene.rates == []
        await asyncio.sleep(100)

    scene = played(play)
    assert len(scene.rates) == 5
    assert len(scene.backend.begun_at) == 1 + 4 + 5


def test_none_are_given_at_once_while_something_else_goes_on_or_somebody_measures():
    async def play(scene):
        with scene.canaries.held():
            assert await asked_at_once(scene) == ()
        scene.occupied = True
        assert await asked_at_once(scene) == ()

    assert played(play).backend.begun_at == []


def test_none_are_given_at_once_when_somebody_comes_meanwhile():
    async def play(scene):
        asking = asked_at_once(scene)
        await asyncio.sleep(1.5 * SONG_S)
        scene.canaries.make_way()
        assert await asking == ()
        assert now() == 1.5 * SONG_S
        assert scene.backend.generating == 0

    played(play)


def test_two_who_ask_at_once_are_served_one_after_the_other():
    async def play(scene):
        both = asked_at_once(scene), asked_at_once(scene)
        assert list(await asyncio.gather(*both)) == [(10.0,) * 3] * 2
        assert now() == 8 * SONG_S

    played(play)


def test_who_asks_at_once_and_leaves_stops_the_engine():
    async def play(scene):
        asking = asked_at_once(scene)
        await asyncio.sleep(1)
        asking.cancel()
        await asyncio.wait([asking])
        assert scene.backend.generating == 0

    played(play)


def test_who_asks_at_once_is_told_why_there_is_no_answer():
    async def play(scene):
        with pytest.raises(BackendError, match="broken"):
            await asked_at_once(scene)

    played(play, backend=Aviary(error=BackendError("broken")))
