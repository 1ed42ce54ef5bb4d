from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core import BackendError, BackendUnavailable
from orac_core.serving.breaker import FAILURES, PAUSE_S, Breaker


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


@given(st.lists(st.sampled_from(["fail", "succeed", "wait"]), max_size=60))
def test_it_refuses_only_after_a_row_of_failures_and_never_beyond_its_pause(events):
    clock = Clock()
    breaker, row, failed_at = Breaker("x", clock), 0, 0.0
    for event in events:
        if event == "wait":
            clock.now += 1
            continue
        spared = row >= FAILURES and clock.now < failed_at + PAUSE_S
        outcome = tried(breaker, event)
        assert ("in a row" in outcome) == spared
        if not spared:
            row, failed_at = (row + 1, clock.now) if event == "fail" else (0, failed_at)


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
