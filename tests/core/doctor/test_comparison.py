"""Rates are compared with an interval, and chance is no change."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core.doctor.comparison import changed, compared, usable

rates = st.lists(st.floats(0.5, 200), min_size=2, max_size=10)


@given(rates, rates)
def test_the_interval_holds_the_ratio(present, earlier):
    found: Any = compared(present, earlier)
    assert found.ci95[0] <= found.ratio * (1 + 1e-9)
    assert found.ratio <= found.ci95[1] * (1 + 1e-9)


@given(rates)
def test_equal_rates_have_not_changed(values):
    assert compared(values, values).ratio == 1
    assert not compared(values, values).slow
    assert not changed(values, values)


@given(rates, rates, st.floats(0.1, 10))
def test_the_unit_of_the_rates_does_not_matter(present, earlier, unit):
    one = compared(present, earlier)
    other = compared([each * unit for each in present], [each * unit for each in earlier])
    assert other.ratio == pytest.approx(one.ratio)


def test_the_interval_covers_the_true_ratio_about_as_often_as_it_says():
    covered = 0
    for seed in range(300):
        chance = random.Random(seed)
        earlier = [40 * chance.gauss(1, 0.05) for _ in range(8)]
        found: Any = compared([20 * chance.gauss(1, 0.05) for _ in range(8)], earlier)
        low, high = found.ci95
        covered += low <= 0.5 <= high
    assert 0.90 <= covered / 300 <= 0.995


def test_a_single_rate_has_no_interval_and_only_a_large_fall_counts():
    assert compared([30.0], [40.0, 41.0]).ci95 is None
    assert compared([30.0], [40.0, 41.0]).slow is False
    assert compared([20.0], [40.0, 41.0]).slow is True


def test_noise_is_told_from_slowness():
    wild = [10.0, 60.0, 32.0]
    assert compared(wild, [40.0, 40.0, 40.0]).ratio < 0.85
    assert compared(wild, [40.0, 40.0, 40.0]).slow is False


def test_a_change_of_less_than_a_tenth_is_none_however_sure():
    assert changed([36.5] * 5, [40.0] * 5) is False
    assert changed([35.0] * 5, [40.0] * 5) is True
    assert changed([35.0], [40.0] * 5) is None


def test_what_can_be_no_rate_is_left_out():
    assert usable([float("inf"), float("nan"), 0.0, -1.0, 3.0]) == [3.0]
    assert compared([0.0], [3.0]).ratio is None


def test_a_comparison_is_told_in_words():
    assert str(compared([20.0, 20.0], [40.0, 40.0])) == "50% (50% to 50%)"
    assert str(compared([20.0], [40.0])) == "50%"
    assert str(compared([], [40.0])) == "nothing to compare with"
