from contextlib import suppress

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orac_core import BackendError, BackendUnavailable
from orac_core.serving.breaker import FAILURES, PAUSE_S, WINDOW_S, Breaker, Rule, Spell


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return Breaker("ollama", clock)


def fail(breaker, times=1):
    for _ in range(times):
        with pytest.raises(BackendUnavailable), breaker.watching():
            raise BackendUnavailable("cannot connect")


def passes(breaker):
    with breaker.watching():
        return True


def test_fewer_failures_than_the_limit_let_everything_through(breaker):
    fail(breaker, FAILURES - 1)
    assert passes(breaker)


def test_after_a_row_of_failures_calls_are_refused_with_the_reason_and_a_time(breaker):
    fail(breaker, FAILURES)
    with pytest.raises(BackendUnavailable, match="5 times in a row.*cannot connect") as refused:
        passes(breaker)
    assert refused.value.retry_after_s == PAUSE_S


def test_after_the_pause_one_call_is_let_through_and_its_success_closes_it(breaker, clock):
    fail(breaker, FAILURES)
    clock.now += PAUSE_S
    with breaker.watching(), pytest.raises(BackendUnavailable, match="in a row"):
        passes(breaker)
    assert passes(breaker)
    assert passes(breaker)


def test_a_probe_that_fails_begins_a_new_pause(breaker, clock):
    fail(breaker, FAILURES)
    clock.now += PAUSE_S
    fail(breaker)
    with pytest.raises(BackendUnavailable, match="in a row"):
        passes(breaker)
    clock.now += PAUSE_S
    assert passes(breaker)


def test_a_probe_that_is_given_up_leaves_room_for_another(breaker, clock):
    fail(breaker, FAILURES)
    clock.now += PAUSE_S
    with pytest.raises(KeyboardInterrupt), breaker.watching():
        raise KeyboardInterrupt
    assert passes(breaker)


def test_calls_that_fail_together_count_once(breaker):
    calls = [breaker.watching() for _ in range(FAILURES + 3)]
    for call in calls:
        call.__enter__()
    for call in calls:
        with suppress(BackendUnavailable):
            call.__exit__(BackendUnavailable, BackendUnavailable("it died"), None)
    assert passes(breaker)


def test_an_engine_that_answers_with_an_error_is_reached(breaker):
    fail(breaker, FAILURES - 1)
    with pytest.raises(BackendError), breaker.watching():
        raise BackendError("unknown option")
    fail(breaker)
    assert passes(breaker)


def test_a_sign_of_health_closes_it(breaker):
    fail(breaker, FAILURES)
    breaker.recovered()
    assert passes(breaker)


def test_failures_that_are_further_apart_than_the_window_are_no_row(breaker, clock):
    for _ in range(3 * FAILURES):
        fail(breaker)
        clock.now += WINDOW_S / (FAILURES - 1)
    assert passes(breaker)


def test_a_brief_question_that_hangs_counts_for_those_that_could_have_failed_meanwhile(
    breaker, clock
):
    def hang(span_s):
        with pytest.raises(BackendUnavailable), breaker.watching(brief=True):
            clock.now += span_s
            raise BackendUnavailable("no answer within 10 s")

    for _ in range(2):
        hang(10)
        assert not breaker.open
    hang(10)
    assert breaker.open


def test_an_answer_that_breaks_off_after_long_counts_once(breaker, clock):
    with pytest.raises(BackendUnavailable), breaker.watching():
        clock.now += 1000
        raise BackendUnavailable("it died")
    assert breaker.spell.failures == 1


def test_a_rule_without_a_window_opens_at_the_first_failure(clock):
    breaker = Breaker("ollama", clock, Rule(window_s=0))
    fail(breaker)
    assert breaker.open


def test_how_often_and_how_long_is_a_rule(clock):
    breaker = Breaker("ollama", clock, Rule(failures=2, window_s=10, pause_s=60))
    fail(breaker, 2)
    clock.now += 59
    with pytest.raises(BackendUnavailable, match="2 times in a row and is given a pause of 1 s"):
        breaker.refuse()
    clock.now += 1
    breaker.refuse()


def test_it_says_how_it_stands_and_since_when(clock):
    breaker = Breaker("ollama", clock, wall=lambda: clock.now + 1e9)
    assert breaker.spell == Spell("closed", None, 0)
    fail(breaker, FAILURES - 1)
    assert breaker.spell == Spell("closed", None, FAILURES - 1)
    fail(breaker)
    assert breaker.spell == Spell("open", 1e9 + 1000, FAILURES)
    clock.now += PAUSE_S
    with breaker.watching():
        assert breaker.spell == Spell("half_open", 1e9 + 1000, FAILURES)
    assert breaker.spell == Spell("closed", 1e9 + 1000 + PAUSE_S, 0)


def test_who_wants_to_know_is_told_when_it_opens_and_when_it_closes(clock):
    told = []
    breaker = Breaker("ollama", clock, turned=lambda it: told.append(it.open))
    fail(breaker, FAILURES)
    clock.now += PAUSE_S
    fail(breaker)
    breaker.recovered()
    breaker.recovered()
    assert told == [True, False]


def test_while_somebody_asks_how_it_is_no_call_has_to_find_out(breaker, clock):
    fail(breaker, FAILURES)
    breaker.attended = True
    clock.now += 100 * PAUSE_S
    with pytest.raises(BackendUnavailable, match="in a row"):
        breaker.refuse()
    with breaker.probing():
        assert breaker.spell.state == "half_open"
    assert passes(breaker)


class BreakerMachine(RuleBasedStateMachine):
    """A breaker and what it should do, over any series of calls, pauses and signs of health."""

    def __init__(self):
        super().__init__()
        self.clock = Clock()
        self.turns: list[bool] = []
        self.breaker = Breaker("x", self.clock, turned=lambda it: self.turns.append(it.open))
        self.row, self.until, self.open = [], 0.0, False

    @rule(span_s=st.sampled_from([0.5, 1.0, PAUSE_S, WINDOW_S]))
    def wait(self, span_s):
        self.clock.now += span_s

    @rule()
    def fail(self):
        spared = self.open and self.clock.now < self.until
        assert ("in a row" in tried(self.breaker, "fail")) == spared
        if spared:
            return
        now = self.clock.now
        self.row = [at for at in self.row if now - at < WINDOW_S] + [now]
        self.open = self.open or len(self.row) >= FAILURES
        self.until = now + PAUSE_S

    @rule()
    def succeed(self):
        spared = self.open and self.clock.now < self.until
        assert (tried(self.breaker, "succeed") != "well") == spared
        if not spared:
            self.row, self.open = [], False

    @rule()
    def be_well(self):
        self.breaker.recovered()
        self.row, self.open = [], False

    @rule()
    def probe_and_leave(self):
        if not self.open or self.clock.now < self.until:
            return
        with suppress(KeyboardInterrupt), self.breaker.watching():
            assert self.breaker.spell.state == "half_open"
            assert "in a row" in tried(self.breaker, "succeed")
            raise KeyboardInterrupt  # it is given up, and leaves room for another

    @invariant()
    def it_is_open_when_it_should_be_and_refuses_only_then(self):
        assert self.breaker.open == self.open
        assert self.breaker.spares == (self.open and self.clock.now < self.until)

    @invariant()
    def it_opens_and_closes_in_turn(self):
        assert self.turns == [number % 2 == 0 for number in range(len(self.turns))]


TestBreakerMachine = BreakerMachine.TestCase


def tried(breaker, event):
    """Return what came of a call."""
    try:
        with breaker.watching():
            return down() if event == "fail" else "well"
    except BackendUnavailable as error:
        return str(error)


def down():
    raise BackendUnavailable("down")


def test_a_failure_says_to_ask_again_after_as_long_as_the_engine_is_gone(breaker, clock):
    def again_s():
        with pytest.raises(BackendUnavailable) as caught, breaker.watching():
            raise BackendUnavailable("gone")
        return caught.value.retry_after_s

    assert again_s() == 1
    clock.now += 12
    assert again_s() == 12
    assert passes(breaker)
    assert again_s() == 1


def test_an_error_that_knows_itself_when_to_ask_again_keeps_that(breaker):
    error = BackendUnavailable("busy")
    error.retry_after_s = 7
    with pytest.raises(BackendUnavailable), breaker.watching():
        raise error
    assert error.retry_after_s == 7
