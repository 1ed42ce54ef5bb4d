"""The test of Mann and Whitney, against a count of all cases and against known values."""

import math
import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orac_core.benchmark import significance
from orac_core.benchmark.significance import ALPHA, MOST_EXACT, least_p, mann_whitney

FEW = st.lists(st.integers(0, 6), min_size=1, max_size=6)
VALUES = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40)


def counted(one, other):
    """Count, among all ways to deal the values out, those at least as far out."""
    values = (*one, *other)

    def above(chosen):
        rest = [value for at, value in enumerate(values) if at not in chosen]
        mine = [values[at] for at in chosen]
        return sum((a > b) + (a == b) / 2 for a in mine for b in rest)

    found = above(range(len(one)))
    all_ = [above(set(chosen)) for chosen in combinations(range(len(values)), len(one))]
    below = sum(u <= found for u in all_)
    over = sum(u >= found for u in all_)
    return min(1.0, 2 * min(below, over) / len(all_))


@settings(deadline=None)
@given(FEW, FEW)
def test_p_is_what_counting_all_cases_gives(one, other):
    assert mann_whitney(one, other) == pytest.approx(counted(one, other), abs=1e-12)


@given(VALUES, VALUES)
def test_p_is_a_probability_and_the_same_from_both_sides(one, other):
    p = mann_whitney(one, other)
    assert 0 <= p <= 1
    assert p == pytest.approx(mann_whitney(other, one))


@given(FEW, FEW)
def test_only_the_order_of_the_values_counts(one, other):
    def stretched(values):
        return [math.exp(value) for value in values]

    assert mann_whitney(stretched(one), stretched(other)) == mann_whitney(one, other)


@given(VALUES, VALUES)
def test_the_least_p_is_never_undercut(one, other):
    if len(one) + len(other) <= MOST_EXACT:
        assert mann_whitney(one, other) >= least_p(len(one), len(other)) * (1 - 1e-9)


def test_nothing_says_nothing():
    assert mann_whitney([], [1.0]) is mann_whitney([1.0], []) is None


def test_known_values():
    low, high = [1.0, 2, 3, 4], [5.0, 6, 7, 8]
    assert mann_whitney(low, high) == pytest.approx(2 / 70)
    assert mann_whitney([1.0, 2, 3], [4.0, 5, 6]) == pytest.approx(0.1)
    assert mann_whitney([3.0] * 5, [3.0] * 7) == 1.0
    assert mann_whitney([3.0] * 50, [3.0] * 70) == 1.0


def test_the_normal_distribution_agrees_with_the_exact_one_where_both_will_do(monkeypatch):
    chance = random.Random(3)
    for shift in (0.0, 0.3, 0.6, 0.9):
        one = [round(chance.gauss(0, 1), 1) for _ in range(30)]
        other = [round(chance.gauss(shift, 1), 1) for _ in range(30)]
        exact = mann_whitney(one, other)
        with monkeypatch.context() as patched:
            patched.setattr(significance, "MOST_EXACT", 0)
            assert mann_whitney(one, other) == pytest.approx(exact, abs=0.005)


@pytest.mark.parametrize("n", [5, 10, 40])
def test_two_lists_of_one_distribution_seldom_differ(n):
    chance = random.Random(n)
    alarms = sum(
        mann_whitney(
            [chance.gauss(40, 2) for _ in range(n)], [chance.gauss(40, 2) for _ in range(n)]
        )
        < ALPHA
        for _ in range(400)
    )
    assert alarms <= 32  # 20 are expected; this many or more in 1 of 160 seeds


def test_a_difference_of_ten_percent_is_found_through_noise_of_two():
    chance = random.Random(1)
    for _ in range(50):
        one = [chance.gauss(40, 0.8) for _ in range(6)]
        assert mann_whitney(one, [chance.gauss(36, 0.8) for _ in range(6)]) < ALPHA
