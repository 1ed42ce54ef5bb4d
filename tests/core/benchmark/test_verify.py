import random

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orac_core.benchmark.results import Workload
from orac_core.benchmark.soak import Mission, ratio_to_first, slope, soak
from orac_core.benchmark.verify import Evidence, verification
from orac_core.benchmark.warmup import settled
from orac_core.devices import Device, Machine, Memory
from tests.core.benchmark.bench import made

WORKLOAD = Workload("pp16+tg9", 16, 9)
GOOD = [made("pp16+tg9", number) for number in range(1, 6)]
CANARIES = [made(f"canary {side}", n) for side in ("before", "after") for n in range(1, 6)]
QUIET = [
    Machine(Memory(swapped_in_bytes=5, swapped_out_bytes=5), device=Device(throttling=False))
] * 2


def evidence(samples=GOOD, canaries=CANARIES, workload=WORKLOAD, **settled):
    known = settled or {workload.name: True}
    return Evidence("here/fast", [workload], [*canaries, *samples], known)


def failed(found, looks=QUIET):
    """Return the names of the checks that failed."""
    checked = verification([found], looks)
    names = [it.name for it in checked.checks if it.passed is False]
    assert checked.trusted == (not names)
    assert all(it.text in checked.verdict for it in checked.checks if it.passed is False)
    return names


def all_of(**changes):
    return [evolve(it, **changes) for it in GOOD]


def test_nothing_speaks_against_what_was_measured_well():
    found = verification([evidence()], QUIET)
    assert found.trusted
    assert found.verdict == "nothing speaks against these results"
    assert {it.passed for it in found.checks} == {True}
    assert found.before == found.after == {"here/fast": 20.0}


def test_what_could_not_be_told_is_no_proof_either_way():
    found = verification([evidence(canaries=[])], [Machine()])
    assert found.trusted
    assert found.verdict.endswith("3 of 11 checks could not be made")


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (evidence(**{"pp16+tg9": False}), "warm"),
        (evidence(all_of(disturbed=True)), "alone"),
        (evidence(all_of(cached_tokens=200, prompt_tokens=250)), "prompts not cached"),
        (evidence(all_of(completion_tokens=None)), "tokens counted by the engine"),
        (evidence(all_of(finish_reason="stop")), "same length"),
        (evidence(all_of(completion_tokens=8)), "same length"),
        (evidence(GOOD[:4]), "enough answers"),
        (evidence([*GOOD, evolve(GOOD[0], error="no")]), "all answered"),
        (
            evidence([evolve(it, decode_tokens_per_second=10.0 * it.round) for it in GOOD]),
            "steady",
        ),
        (
            evidence(
                canaries=[
                    evolve(it, decode_tokens_per_second=10.0) if "after" in it.workload else it
                    for it in CANARIES
                ]
            ),
            "same speed before and after",
        ),
    ],
)
def test_each_fault_is_found_and_named(found, name):
    assert name in failed(found)


def test_throttling_and_swapping_meanwhile_are_found():
    hot = evolve(QUIET[0], device=Device(throttling=True))
    swapped = evolve(QUIET[0], memory=Memory(swapped_in_bytes=5, swapped_out_bytes=1 << 30))
    assert failed(evidence(), [QUIET[0], hot]) == ["no throttling"]
    assert failed(evidence(), [QUIET[0], swapped]) == ["no swapping"]


def test_a_depth_has_to_be_in_the_cache_and_nothing_else():
    workload = Workload("pp16+tg9@d1000", 16, 9, 1000)

    def deep(cached):
        samples = [
            evolve(it, workload=workload.name, prompt_tokens=1016, cached_tokens=cached)
            for it in GOOD
        ]
        return failed(evidence(samples, workload=workload))

    assert deep(1000) == []
    assert deep(0) == ["prompts not cached"]


def test_canaries_that_differ_by_chance_are_no_drift():
    draw = random.Random(1)
    canaries = [evolve(it, decode_tokens_per_second=draw.gauss(20, 2)) for it in CANARIES]
    assert failed(evidence(canaries=canaries)) == []


@given(st.lists(st.floats(0.1, 1e4), max_size=10))
def test_a_model_is_warm_when_its_last_two_rates_agree(found):
    if len(found) < 2:
        assert settled(found) is None
    else:
        low, high = sorted(found[-2:])
        assert settled(found) == (high - low <= 0.05 * high)


def line(values) -> tuple[float, tuple[float, float]]:
    """Return the slope of more than two values, and its interval."""
    found = slope(values)
    assert found is not None
    assert found[1] is not None
    return found[0], found[1]


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.integers(3, 50))
def test_the_slope_of_a_line_is_found_exactly(steep, start, n):
    found, interval = line([start + steep * x for x in range(n)])
    assert found == pytest.approx(steep, abs=1e-3)
    assert interval[0] - 1e-3 <= steep <= interval[1] + 1e-3


@given(st.integers(0, 1000))
def test_the_interval_of_a_slope_has_the_true_one_in_it_mostly(seed):
    draw = random.Random(seed)
    hits = 0
    for _ in range(20):
        _, interval = line([2.0 * x + draw.gauss(0, 5) for x in range(30)])
        hits += interval[0] <= 2.0 <= interval[1]
    assert hits >= 12


def test_too_few_values_have_no_slope():
    assert slope([]) is None
    assert slope([1.0]) is None
    assert slope([1.0, 3.0]) == (2.0, None)


def missions(n, **changes):
    return [Mission((evolve(made(number=1), **changes),), 1000) for _ in range(n)]


def test_a_soak_that_stays_the_same_has_passed():
    told = soak(missions(20), 20)
    assert told["passed"]
    assert told["mission_s"] == 0.5
    assert told["mission_variance_s2"] == 0
    assert told["memory_bytes_per_mission"] == 0
    assert told["rate_ratio"] == 1.0


def test_a_soak_that_ended_early_or_failed_says_why():
    assert "19 of 20 missions" in soak(missions(19), 20)["verdict"]
    assert "it is hot; " in soak(missions(3), 20, "it is hot")["verdict"]
    assert "20 requests had no answer" in soak(missions(20, error="no"), 20)["verdict"]
    assert not soak([], 20)["passed"]


def test_a_little_noise_in_the_memory_is_no_growth():
    draw = random.Random(3)
    found = [evolve(it, memory_bytes=10**9 + draw.randrange(10**6)) for it in missions(30)]
    assert soak(found, 30)["passed"]


def test_the_last_missions_are_compared_with_the_first_once_there_are_others():
    assert ratio_to_first([10.0] * 5) is None
    assert ratio_to_first([10.0] * 5 + [5.0] * 5) == 0.5
