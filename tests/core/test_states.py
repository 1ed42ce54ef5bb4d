from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core import ModelState, StateConflict
from orac_core.states import TRANSITIONS, follow

states = st.sampled_from(ModelState)


def test_every_state_is_in_the_table():
    assert set(TRANSITIONS) == set(ModelState)


def test_a_load_and_an_unload_go_round_the_circle():
    circle = ["stopped", "starting", "ready", "stopping", "stopped"]
    for now, then in pairwise(circle):
        assert follow(ModelState(now), ModelState(then)) == then


def test_a_failed_model_is_never_ready_without_a_load():
    assert ModelState.READY not in TRANSITIONS[ModelState.FAILED]


@given(states, states)
def test_what_the_table_does_not_allow_is_refused_with_what_it_does(now, then):
    if then in TRANSITIONS[now]:
        assert follow(now, then) is then
    else:
        with pytest.raises(StateConflict, match=f"{now} cannot become {then}"):
            follow(now, then)


@given(states)
def test_every_state_can_get_back_to_stopped(start):
    reached, border = {start}, [start]
    while border:
        border = [then for now in border for then in TRANSITIONS[now] if then not in reached]
        reached.update(border)
    assert ModelState.STOPPED in reached
