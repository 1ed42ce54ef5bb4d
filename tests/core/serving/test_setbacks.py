from hypothesis import given
from hypothesis import strategies as st

from orac_core.serving.setbacks import MOST, WINDOW_S, Setbacks


def after(*times: float) -> Setbacks:
    setbacks = Setbacks()
    for time in times:
        setbacks.add(time)
    return setbacks


def test_the_first_is_made_good_at_once():
    assert after(0.0).pause_s(0.0) == 0


def test_each_further_one_doubles_the_pause():
    pauses = [after(*[0.0] * count).pause_s(0.0) for count in (2, 3, 4)]
    assert pauses == [0.5, 1.0, 2.0]


def test_the_time_since_the_last_one_counts():
    assert after(0.0, 0.0, 0.0).pause_s(0.75) == 0.25


def test_so_many_in_a_row_are_enough():
    assert after(*[0.0] * MOST).exhausted(1.0)
    assert not after(*[0.0] * (MOST - 1)).exhausted(1.0)


def test_what_is_long_ago_is_forgotten():
    setbacks = after(*[0.0] * MOST)
    assert setbacks.over_s(1.0) == WINDOW_S - 1
    assert not setbacks.exhausted(WINDOW_S)


def test_forgiving_begins_anew():
    setbacks = after(*[0.0] * MOST)
    setbacks.forgive()
    assert (setbacks.count(0.0), setbacks.pause_s(0.0), setbacks.over_s(0.0)) == (0, 0, 0)


@given(st.lists(st.floats(0, 5000), max_size=40).map(sorted), st.floats(0, 2000))
def test_it_never_waits_long_and_never_tries_too_often(times, later):
    setbacks = after(*times)
    now = (times[-1] if times else 0) + later
    assert 0 <= setbacks.pause_s(now) <= 4
    assert setbacks.exhausted(now) == (sum(now - each < WINDOW_S for each in times) >= MOST)
