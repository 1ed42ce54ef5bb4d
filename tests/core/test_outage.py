"""When to ask again for what is out."""

from hypothesis import given
from hypothesis import strategies as st

from orac_core.outage import LEAST_S, MOST_S, Outage, again_s

SPAN = st.floats(0, 1e9)


@given(SPAN, SPAN)
def test_the_longer_it_lasts_the_later_to_ask_again_within_bounds(one, other):
    shorter, longer = sorted((one, other))
    assert LEAST_S <= again_s(shorter) <= again_s(longer) <= MOST_S


def test_an_outage_is_as_old_as_its_first_sign_and_a_new_one_begins_anew():
    now = 100.0
    outage = Outage(lambda: now)
    assert outage.goes_on() == LEAST_S
    now += 20
    assert outage.goes_on() == 20
    outage.over()
    assert outage.goes_on() == LEAST_S
