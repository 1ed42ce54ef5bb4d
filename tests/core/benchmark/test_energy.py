"""Energy from samples of power, against curves whose area is known."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orac_core.benchmark.energy import energy, energy_use, idle_watts
from orac_core.benchmark.results import Energy

MOMENTS = st.floats(0, 100, allow_subnormal=False)
WATTS = st.floats(0.1, 1000)
RATES = st.integers(1, 50)


def sampled(power, rate_hz, until_s=100.0):
    moments = [number / rate_hz for number in range(int(until_s * rate_hz) + 1)]
    return [(at, power(at)) for at in moments]


def spans(draw=MOMENTS):
    return st.tuples(draw, draw).map(sorted).filter(lambda span: span[1] - span[0] > 1e-3)


@given(WATTS, spans(), RATES)
def test_of_constant_power_it_is_power_times_time(watts, span, rate_hz):
    start, end = span
    found = energy(sampled(lambda _: watts, rate_hz), start, end, 2.0, "VDD_IN")
    assert found.joules == pytest.approx(watts * (end - start))
    assert (found.seconds, found.idle_watts, found.source) == (end - start, 2.0, "VDD_IN")


@given(st.floats(0, 10), st.floats(0, 100), spans(), RATES)
def test_of_power_that_rises_evenly_it_is_exact_wherever_it_begins(slope, least, span, rate_hz):
    start, end = span
    found = energy(sampled(lambda at: least + slope * at, rate_hz), start, end, None, "NVML")
    expected = least * (end - start) + slope * (end**2 - start**2) / 2
    assert found.joules == pytest.approx(expected, abs=1e-6)


@given(spans(), st.integers(20, 50))
def test_of_power_that_swings_it_is_off_by_what_the_rule_allows(span, rate_hz):
    start, end = span
    found = energy(sampled(lambda at: 10 + math.sin(at), rate_hz), start, end, None, "NVML")
    expected = 10 * (end - start) + math.cos(start) - math.cos(end)
    # The error of the trapezoidal rule, and of a chord at either end: h²/12 and h²/8 for each.
    allowed = (end - start + 2) / rate_hz**2 / 8 + 1e-6
    assert abs(found.joules - expected) <= allowed


@given(st.lists(st.tuples(MOMENTS, WATTS), min_size=2, unique_by=lambda each: each[0]), MOMENTS)
def test_two_halves_are_the_whole(samples, middle):
    samples = sorted(samples)
    start, end = samples[0][0], samples[-1][0]
    assume(start + 1e-3 < middle < end - 1e-3)
    halves = ((start, end), (start, middle), (middle, end))
    parts = [energy(samples, begin, stop, None, "") for begin, stop in halves]
    assume(None not in parts)
    whole, first, second = (each.joules for each in parts)
    assert first + second == pytest.approx(whole)


@given(st.lists(st.tuples(MOMENTS, WATTS)), spans(st.floats(-10, 110)))
def test_it_is_between_the_least_and_the_most_power_of_all_samples(samples, span):
    samples, (start, end) = sorted(samples), span
    found = energy(samples, start, end, None, "")
    if found is not None:
        powers = [watts for _, watts in samples]
        mean = found.joules / found.seconds
        assert min(powers) * (1 - 1e-6) <= mean <= max(powers) * (1 + 1e-6)


@pytest.mark.parametrize(("rate_hz", "coarse"), [(1, True), (9, True), (10, False), (20, False)])
def test_under_ten_samples_a_second_it_is_coarse(rate_hz, coarse):
    found = energy(sampled(lambda _: 5.0, rate_hz), 2.0, 8.0, None, "")
    assert found.hertz == pytest.approx(rate_hz, rel=1e-3)
    assert found.coarse is coarse


def test_the_rate_is_that_of_the_span_and_not_of_the_rest():
    slow_then_fast = [(0.0, 1.0), (1.0, 1.0), *((2 + number / 20, 1.0) for number in range(41))]
    assert energy(slow_then_fast, 2.5, 3.5, None, "").hertz == pytest.approx(20, rel=0.1)


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [(1.5, 5.0)],
        [(0.0, 5.0), (0.1, 5.0)],
        [(5.0, 5.0), (5.1, 5.0)],
        [(1.5, 5.0), (1.5, 5.0)],
        [(1.5, 5.0), (1.6, 5.0)],
    ],
)
def test_samples_that_do_not_cover_the_span_are_no_measurement(samples):
    assert energy(samples, 1.0, 2.0, None, "") is None


def test_a_span_that_ends_just_behind_the_last_sample_is_covered():
    samples = sampled(lambda _: 4.0, 20, 2.0)
    assert energy(samples, 1.0, 2.04, None, "").joules == pytest.approx(4.16)


def test_a_span_of_no_length_has_no_energy():
    assert energy(sampled(lambda _: 4.0, 20), 1.0, 1.0, None, "") is None


def test_idle_power_is_the_median_of_the_last_five_seconds():
    samples = [(0.0, 90.0), (1.0, 90.0), (6.0, 3.0), (7.0, 4.0), (8.0, 50.0), (10.9, 5.0)]
    assert idle_watts(samples) == 4.5


@pytest.mark.parametrize("samples", [[], [(0.0, 5.0)], [(0.0, 5.0), (0.1, 5.0), (9.0, 5.0)]])
def test_of_too_few_samples_the_idle_power_is_not_known(samples):
    assert idle_watts(samples) is None


def span_of(joules, seconds, idle, source="VDD_IN", hertz=20.0):
    return Energy(joules, seconds, idle, source, hertz, hertz < 10)


def test_the_energy_of_a_token_is_told_gross_and_net():
    use = energy_use([(span_of(100.0, 10.0, 4.0), 30, 20), (span_of(60.0, 5.0, 4.0), 10, 12)])
    assert use.watts == pytest.approx(160 / 15)
    assert use.idle_watts == pytest.approx(4.0)
    assert use.gross_j_per_token == 5.0
    assert use.net_j_per_token == pytest.approx((160 - 60) / 32)
    assert use.j_per_token_in_and_out == pytest.approx(160 / 72)
    assert use.battery_minutes_per_1000_tokens == pytest.approx(5000 / 4 / 60)


def test_without_idle_power_there_is_no_net():
    use = energy_use([(span_of(100.0, 10.0, None), 0, 20), (span_of(60.0, 5.0, 4.0), 0, 12)])
    assert (use.idle_watts, use.net_j_per_token) == (None, None)
    assert use.battery_minutes_per_1000_tokens is None


def test_the_coarsest_of_all_answers_says_how_coarse_it_is():
    fine, coarse = span_of(1.0, 1.0, 1.0), span_of(1.0, 1.0, 1.0, "NVML", 1.0)
    use = energy_use([(fine, 1, 1), (coarse, 1, 1)])
    assert (use.hertz, use.coarse, use.source) == (1.0, True, "NVML, VDD_IN")


@pytest.mark.parametrize("answers", [[], [(span_of(1.0, 1.0, 1.0), 5, 0)]])
def test_without_tokens_there_is_nothing_to_tell(answers):
    assert energy_use(answers) is None


@given(st.lists(st.tuples(WATTS, st.floats(0.1, 100), WATTS, RATES, RATES), min_size=1))
def test_net_and_idle_are_the_gross(answers):
    use = energy_use(
        [(span_of(watts * s, s, idle), read, wrote) for watts, s, idle, read, wrote in answers]
    )
    tokens, seconds = sum(each[4] for each in answers), sum(each[1] for each in answers)
    idle = use.idle_watts * seconds / tokens
    assert use.net_j_per_token + idle == pytest.approx(use.gross_j_per_token, rel=1e-6)
