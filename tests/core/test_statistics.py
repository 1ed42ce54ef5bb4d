"""Percentiles, intervals, rates of success and sums that tell a shift from noise."""

import math
import random
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core.statistics import (
    LEAST_FOR_P95,
    LEAST_FOR_P99,
    Cusum,
    area,
    distinguishable,
    interval_of_median,
    percentile,
    summary,
    wilson,
)

NUMBERS = st.floats(-1e9, 1e9)
SAMPLES = st.lists(NUMBERS, min_size=1, max_size=60)
DRAWN = 300


def ends(interval):
    """Return both ends of an interval that is known."""
    low, high = interval
    return low, high


@given(SAMPLES, st.floats(0, 100))
def test_a_percentile_is_numpys(values, q):
    expected = float(np.percentile(values, q))
    assert percentile(sorted(values), q) == pytest.approx(expected, rel=1e-9, abs=1e-3)


@given(st.lists(NUMBERS, min_size=2, max_size=60))
def test_a_summary_is_what_the_standard_library_says(values):
    found = summary(values)
    assert (found.n, found.minimum, found.maximum) == (len(values), min(values), max(values))
    assert found.mean == pytest.approx(statistics.fmean(values), abs=1e-6)
    assert found.sd == pytest.approx(statistics.stdev(values), abs=1e-6)
    assert found.p50 == pytest.approx(statistics.median(values), abs=1e-6)
    quartiles = statistics.quantiles(values, n=4, method="inclusive")
    for q, quartile in zip((25, 50, 75), quartiles, strict=True):
        assert percentile(sorted(values), q) == pytest.approx(quartile, abs=1e-3)


@given(SAMPLES)
def test_the_parts_of_a_summary_stand_in_order(values):
    found = summary(values)
    known = [each for each in (found.p50, found.p95, found.p99, found.maximum) if each is not None]
    assert known == sorted(known)
    if found.ci95 is not None:
        assert found.minimum <= found.ci95[0] <= found.ci95[1] <= found.maximum


def test_a_summary_does_not_depend_on_the_order_nor_on_chance():
    values = [random.Random(4).gauss(40, 3) for _ in range(30)]
    assert summary(values) == summary(sorted(values, reverse=True)) == summary(values)


def test_nothing_comes_to_nothing_and_one_value_has_no_interval():
    assert summary([]) is None
    assert interval_of_median([3.0]) is None
    assert (summary([3.0]).sd, summary([3.0]).ci95) == (0.0, None)


@pytest.mark.parametrize(
    ("n", "known"),
    [
        (LEAST_FOR_P95 - 1, (False, False)),
        (LEAST_FOR_P95, (True, False)),
        (LEAST_FOR_P99 - 1, (True, False)),
        (LEAST_FOR_P99, (True, True)),
    ],
)
def test_high_percentiles_need_enough_samples(n, known):
    found = summary([float(each) for each in range(n)])
    assert (found.p95 is not None, found.p99 is not None) == known


DRAW = {
    "normal": (lambda chance: chance.gauss(0, 1), 0.0),
    "skewed": (lambda chance: chance.expovariate(1), math.log(2)),
}


@pytest.mark.parametrize("n", [5, 7, 15, 30, 31, 50])
@pytest.mark.parametrize("law", DRAW)
def test_the_interval_of_a_median_holds_it_in_95_of_100_samples(law, n):
    draw, median = DRAW[law]
    held = 0
    for seed in range(DRAWN):
        chance = random.Random(seed)
        low, high = ends(interval_of_median(sorted(draw(chance) for _ in range(n))))
        held += low <= median <= high
    assert 0.90 <= held / DRAWN <= 0.985, f"{held / DRAWN:.3f}"


@pytest.mark.parametrize("law", DRAW)
def test_the_interval_of_a_median_of_many_from_their_order_holds_it_as_often(law):
    draw, median = DRAW[law]
    held = 0
    for seed in range(DRAWN):
        chance = random.Random(seed)
        low, high = ends(interval_of_median(sorted(draw(chance) for _ in range(401))))
        held += low <= median <= high
    assert 0.90 <= held / DRAWN <= 0.985, f"{held / DRAWN:.3f}"


# Newcombe, "Two-sided confidence intervals for the single proportion" (1998), method 3.
KNOWN = [
    ((81, 263), (0.2553, 0.3662)),
    ((15, 148), (0.0624, 0.1605)),
    ((0, 20), (0.0, 0.1611)),
    ((1, 29), (0.0061, 0.1718)),
]


@pytest.mark.parametrize(("counts", "interval"), KNOWN)
def test_wilsons_interval_has_known_values(counts, interval):
    assert wilson(*counts) == pytest.approx(interval, abs=5e-5)


def test_wilsons_interval_of_nothing_is_not_known():
    assert wilson(0, 0) is None


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_interval_holds_the_rate_and_mirrors(counts):
    hits, n = counts
    low, high = ends(wilson(hits, n))
    assert 0 <= low <= hits / n + 1e-12
    assert hits / n - 1e-12 <= high <= 1
    assert wilson(n - hits, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@pytest.mark.parametrize("n", [20, 50, 200])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_wilsons_interval_holds_the_true_rate_in_about_95_of_100_samples(rate, n):
    """The coverage is summed exactly: chance has no part in this test."""
    held = 0.0
    for hits in range(n + 1):
        low, high = ends(wilson(hits, n))
        if low <= rate <= high:
            held += math.comb(n, hits) * rate**hits * (1 - rate) ** (n - hits)
    assert 0.92 <= held <= 0.98


def test_intervals_that_overlap_are_not_distinguishable():
    assert distinguishable((0.1, 0.3), (0.2, 0.4)) is False
    assert distinguishable((0.1, 0.3), (0.3, 0.4)) is False
    assert distinguishable((0.1, 0.2), (0.3, 0.4)) is True
    assert distinguishable((0.3, 0.4), (0.1, 0.2)) is True
    assert distinguishable(None, (0.1, 0.2)) is None


@given(st.lists(st.tuples(st.floats(0, 1e3), st.floats(0, 1e3)), max_size=30))
def test_an_area_is_numpys(points):
    points.sort()
    x, y = [each[0] for each in points], [each[1] for each in points]
    assert area(points) == pytest.approx(float(np.trapezoid(y, x)), rel=1e-9, abs=1e-6)


@given(st.floats(1, 100), st.lists(st.floats(0.01, 10), min_size=1, max_size=20))
def test_a_constant_power_takes_power_times_time(watts, steps):
    times = [sum(steps[:count]) for count in range(len(steps) + 1)]
    points = [(each, watts) for each in times]
    assert area(points) == pytest.approx(watts * times[-1])


def test_no_area_is_under_less_than_two_points():
    assert area([]) == area([(1.0, 5.0)]) == 0


def test_a_shift_that_is_small_in_each_value_adds_up():
    cusum = Cusum(reference=0.9, threshold=0.5)
    assert [cusum.add(0.8) for _ in range(6)].index(True) == 5 - 1


def test_values_above_the_reference_make_up_for_what_was_lost_and_for_no_more():
    cusum = Cusum(reference=1.0, threshold=3.0)
    for value, total in ((0.0, 1.0), (1.5, 0.5), (9.0, 0.0), (0.0, 1.0)):
        assert cusum.add(value) is False
        assert cusum.total == total


@given(st.lists(st.floats(-10, 10), max_size=60))
def test_the_sum_is_what_was_lost_since_the_best_moment(values):
    """Page's definition: the last of the partial sums, less their least."""
    cusum, partial = Cusum(reference=0.5, threshold=math.inf), [0.0]
    for value in values:
        cusum.add(value)
        partial.append(partial[-1] + 0.5 - value)
    assert cusum.total == pytest.approx(partial[-1] - min(partial), abs=1e-9)


def test_the_sum_does_not_grow_beyond_the_threshold_and_can_begin_anew():
    cusum = Cusum(reference=1.0, threshold=1.5)
    assert [cusum.add(0.0) for _ in range(50)] == [False] + [True] * 49
    assert cusum.total == 1.5
    cusum.reset()
    assert cusum.total == 0
