import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orac_core.serving.turns import Turns


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def taken(turns: Turns, count: int) -> list[asyncio.Task[None]]:
    """Let so many come, one after the other."""
    guests = [asyncio.create_task(turns.take()) for _ in range(count)]
    await settle()
    return guests


async def test_those_who_wait_go_on_in_the_order_in_which_they_came():
    turns = Turns(1)
    first, second, third = await taken(turns, 3)
    assert [it.done() for it in (first, second, third)] == [True, False, False]
    turns.give_back()
    await settle()
    assert [it.done() for it in (second, third)] == [True, False]
    turns.give_back()
    await third


async def test_who_comes_never_passes_one_that_was_just_told_to_go_on():
    turns = Turns(1)
    _, second = await taken(turns, 2)
    turns.give_back()
    (third,) = await taken(turns, 1)
    assert second.done()
    assert not third.done()
    turns.give_back()
    await third


async def test_wider_turns_let_those_who_wait_go_on_at_once():
    turns = Turns(1)
    guests = await taken(turns, 4)
    turns.resize(3)
    await settle()
    assert [it.done() for it in guests] == [True, True, True, False]
    turns.resize(4)
    await guests[-1]


async def test_narrower_turns_take_effect_as_those_who_have_one_end():
    turns = Turns(3)
    *_, waiting = await taken(turns, 4)
    turns.resize(1)
    for _ in range(2):
        turns.give_back()
        await settle()
        assert not waiting.done()
    turns.give_back()
    await waiting


async def test_a_turn_that_comes_to_one_who_leaves_goes_to_the_next():
    turns = Turns(1)
    _, leaving, next_ = await taken(turns, 3)
    turns.give_back()
    leaving.cancel()
    await asyncio.wait([leaving, next_])
    assert leaving.cancelled()
    assert not next_.cancelled()
    assert turns.taken == 1


async def test_who_leaves_the_queue_in_the_moment_a_turn_ends_is_passed_over():
    turns = Turns(1)
    _, leaving, next_ = await taken(turns, 3)
    leaving.cancel()
    turns.give_back()
    await asyncio.wait([leaving, next_])
    assert leaving.cancelled()
    assert turns.taken == 1


STEPS = st.one_of(
    st.tuples(st.sampled_from(["come", "end", "leave"]), st.integers(0, 7)),
    st.tuples(st.just("resize"), st.integers(1, 4)),
)


class TurnsMachine(RuleBasedStateMachine):
    """Turns, and who should have one, over any series of what may happen, also in one moment.

    ``ghosts`` have got their turn and been cancelled before they knew: it is free once they run.
    """

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.turns, self.width = Turns(2), 2
        self.guests: list[asyncio.Task[None]] = []
        self.inside: list[int] = []
        self.told: list[int] = []
        self.line: list[int] = []
        self.coming: list[int] = []
        self.ghosts: list[int] = []

    def teardown(self):
        async def leave():
            for guest in self.guests:
                guest.cancel()
            await asyncio.gather(*self.guests, return_exceptions=True)

        self.runner.run(leave())
        self.runner.close()

    @rule(steps=st.lists(STEPS, min_size=1, max_size=5))
    def one_moment(self, steps):
        async def moment():
            for name, number in steps:
                getattr(self, f"_{name}")(number)
            await settle()

        self.runner.run(moment())
        self.told = [it for it in self.told if it not in self.ghosts]
        self.line += self.coming
        self._hand_out()
        self.inside += self.told
        self.told, self.coming, self.ghosts = [], [], []

    def _come(self, _):
        self.coming.append(len(self.guests))
        self.guests.append(asyncio.create_task(self.turns.take()))

    def _end(self, number):
        if self.inside:
            self.inside.pop(number % len(self.inside))
            self.turns.give_back()
            self._hand_out()

    def _leave(self, number):
        waiting = [*self.told, *self.line, *self.coming]
        waiting = [it for it in waiting if it not in self.ghosts]
        if waiting:
            guest = waiting[number % len(waiting)]
            self.guests[guest].cancel()
            if guest in self.told:
                self.ghosts.append(guest)
            else:
                (self.line if guest in self.line else self.coming).remove(guest)

    def _resize(self, width):
        self.width = width
        self.turns.resize(width)
        self._hand_out()

    def _hand_out(self):
        while self.line and len(self.inside) + len(self.told) < self.width:
            self.told.append(self.line.pop(0))

    @invariant()
    def those_have_a_turn_who_should(self):
        came = [number for number, it in enumerate(self.guests) if it.done()]
        came = [number for number in came if not self.guests[number].cancelled()]
        assert {*self.inside} <= {*came}
        assert not {*self.line} & {*came}
        assert self.turns.taken == len(self.inside)

    @invariant()
    def nobody_waits_beside_a_free_turn(self):
        assert self.turns.free == (len(self.inside) < self.width)
        assert not (self.line and self.turns.free)


TestTurnsMachine = TurnsMachine.TestCase
TestTurnsMachine.settings = settings(deadline=None)
