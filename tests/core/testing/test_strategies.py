"""Every strategy makes values of its type, and there is one for each that a hook takes or gives."""

import inspect
import typing

import pytest
from hypothesis import given, settings

from orac_core import conversation, types
from orac_core.testing import strategies

OURS = {
    name: each
    for name, each in inspect.getmembers(strategies, inspect.isfunction)
    if each.__module__ == strategies.__name__ and not name.startswith("_")
}
CORE_MADE = {"Answer", "Embedded", "ServedModel", "Loaded", "Unloaded", "Speed", "ModelState"}
"""What ORAC makes itself, and no backend sees; and an enumeration."""


def made_by(function):
    hint = typing.get_type_hints(function)["return"]
    return typing.get_args(hint)[0] if typing.get_args(hint) else hint


def test_there_is_a_strategy_for_every_value_of_the_contract():
    values = {
        name
        for module in (types, conversation)
        for name, each in inspect.getmembers(module, inspect.isclass)
        if each.__module__ == module.__name__
    }
    made = {getattr(made_by(each), "__name__", "") for each in OURS.values()}
    assert values - CORE_MADE <= made


@pytest.mark.parametrize("name", OURS)
def test_a_strategy_makes_values_of_its_type(name):
    wanted = typing.get_origin(made_by(OURS[name])) or made_by(OURS[name])

    @settings(max_examples=20)
    @given(OURS[name]())
    def check(value):
        assert wanted is typing.Any or isinstance(value, wanted)

    check()


@given(strategies.answers())
def test_an_answer_has_one_chunk_that_is_done_the_last(pieces):
    assert [each.done for each in pieces] == [False] * (len(pieces) - 1) + [True]
