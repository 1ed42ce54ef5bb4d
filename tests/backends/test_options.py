"""Options are an allow-list with ranges: the engine sees only sane numbers."""

import math

import pytest
from attrs import fields
from hypothesis import given
from hypothesis import strategies as st

from orac_backends._options import checked_fields
from orac_core import GenerateOptions, InvalidRequest
from orac_core.ranges import RANGES

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
)


def taken(options, context_length=4096):
    """What the engine is sent, and the faults found."""
    try:
        return checked_fields(options, context_length), set()
    except InvalidRequest as error:
        return {}, set(error.details)


@given(name=st.sampled_from(sorted(RANGES)), value=anything)
def test_a_value_reaches_the_engine_within_its_range_or_not_at_all(name, value):
    sent, faults = taken(GenerateOptions(**{name: value}))
    assert faults <= {f"options.{name}"}
    if value is None:
        assert not faults
    elif not faults:
        allowed = RANGES[name]
        assert not isinstance(value, bool)
        assert math.isfinite(value)
        assert allowed.low <= value <= allowed.high
        assert sent[name] == (min(value, 4096) if name == "max_tokens" else value)


@given(name=st.sampled_from(sorted(RANGES)), where=st.floats(0, 1))
def test_every_value_within_a_range_is_taken(name, where):
    allowed = RANGES[name]
    value = allowed.low + (allowed.high - allowed.low) * where
    value = round(value) if allowed.whole else value
    assert name in checked_fields(GenerateOptions(**{name: value}), 1 << 30)


@given(stop=st.lists(st.text(max_size=300), max_size=20))
def test_stop_texts_are_few_short_and_not_empty(stop):
    good = len(stop) <= 16 and all(1 <= len(text) <= 256 for text in stop)
    sent, faults = taken(GenerateOptions(stop=tuple(stop)))
    assert faults == (set() if good else {"options.stop"})
    if good:
        assert sent.get("stop", []) == stop


def test_every_fault_is_named_at_once():
    options = GenerateOptions(temperature=-1.0, top_k=True, stop=("",))
    with pytest.raises(InvalidRequest) as caught:
        checked_fields(options, 64)
    assert set(caught.value.details) == {"options.temperature", "options.top_k", "options.stop"}


def test_an_answer_is_never_unlimited():
    assert checked_fields(GenerateOptions(), 64) == {"max_tokens": 64}
    assert checked_fields(GenerateOptions(max_tokens=1000), 64) == {"max_tokens": 64}


def test_whether_to_go_on_past_the_end_is_yes_or_no_and_only_for_an_engine_that_can():
    assert checked_fields(GenerateOptions(ignore_eos=True), 64) == {"max_tokens": 64}
    for wrong in (1, "yes"):
        with pytest.raises(InvalidRequest) as caught:
            checked_fields(GenerateOptions(ignore_eos=wrong), 64)
        assert set(caught.value.details) == {"options.ignore_eos"}


def test_every_option_there_is_has_a_range():
    assert {field.name for field in fields(GenerateOptions)} == {*RANGES, "stop", "ignore_eos"}
