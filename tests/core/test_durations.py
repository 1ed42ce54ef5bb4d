import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core.durations import duration_s, keep_alive, shown


@pytest.mark.parametrize(
    ("value", "kept"),
    [("30m", 1800), (90, 90), ("-1", math.inf), (-1, math.inf), (0, 0), ("0", 0), ("1h30m", 5400)],
)
def test_a_model_is_kept_for_a_duration_or_seconds_and_below_zero_for_ever(value, kept):
    assert keep_alive(value) == kept


@pytest.mark.parametrize(
    ("value", "kept"), [("876000h", 876_000 * 3600), ("876001h", math.inf), (1e300, math.inf)]
)
def test_more_than_a_hundred_years_are_for_ever(value, kept):
    assert keep_alive(value) == kept


@pytest.mark.parametrize("value", ["soon", "", "5 m", math.nan, "nan"])
def test_what_is_no_span_of_time_keeps_nothing(value):
    with pytest.raises(ValueError, match="no span of time"):
        keep_alive(value)


@given(st.integers(0, 10**6), st.sampled_from(["s", "m", "h"]))
def test_a_number_and_a_unit_are_so_many_of_it(number, unit):
    assert duration_s(f"{number}{unit}") == number * {"s": 1, "m": 60, "h": 3600}[unit]


@pytest.mark.parametrize(
    ("span", "text"),
    [(0.9, "0 s"), (59.9, "59 s"), (720, "12 min"), (7300, "2 h"), (200_000, "2 d")],
)
def test_a_span_is_shown_in_one_unit(span, text):
    assert shown(span) == text
