"""A model that becomes slow is noticed, once, with the factor and what is suspected."""

import random
from collections.abc import Iterator

import pytest
from attrs import evolve

from orac_core.pace import LEAST_TOKENS, MOST_BASELINES, Cause, Evidence, Pace, Slowdown

GIB = 1 << 30
FRESH = Evidence(
    on_gpu_ratio=1.0,
    available_bytes=6 * GIB,
    free_bytes=5 * GIB,
    swap_free_bytes=4 * GIB,
    loads_since_start=1,
    engine_version="0.12.3",
    context_tokens=300,
)
SEEDS = range(1000)
CHANGES = {
    Cause.PAGE_CACHE: {"on_gpu_ratio": 0.4, "free_bytes": GIB},
    Cause.MEMORY_LATE: {"on_gpu_ratio": 0.4},
    Cause.GPU_LOST: {"on_gpu_ratio": 0.0},
    Cause.SWAP: {"swap_free_bytes": 2 * GIB},
    Cause.ENGINE_CHANGED: {"engine_version": "0.12.4"},
    Cause.UNKNOWN: {},
}


def paced(*rates: float, evidence: Evidence = FRESH) -> Pace:
    pace = Pace()
    for rate in rates:
        pace.add(rate, 100, evidence)
    return pace


def settled(rate: float = 40.0) -> Pace:
    return paced(*[rate] * 5)


def noisy(chance: random.Random, rate: float, noise: float) -> Iterator[float]:
    while True:
        yield rate * chance.gauss(1, noise)


def slowed(seed: int, drop: float, noise: float, after: Evidence) -> tuple[Pace, list[Slowdown]]:
    """Answer fast, with three reloads among the answers, then five times slowly."""
    chance, pace = random.Random(seed), Pace()
    rates = noisy(chance, chance.uniform(2, 200), noise)
    for load in range(1, 4):
        evidence = evolve(FRESH, loads_since_start=load)
        said = [pace.add(next(rates), 64, evidence) for _ in range(6)]
        assert said == [None] * 6, f"seed {seed}"
    events = [pace.add(next(rates) * (1 - drop), 64, after) for _ in range(5)]
    return pace, [each for each in events if each is not None]


def test_p75_noise_of_five_percent_over_200_answers_is_no_slowdown():
    for seed in SEEDS:
        rates = noisy(random.Random(seed), 37.0, 0.05)
        pace = Pace()
        assert not any(pace.add(next(rates), 64, FRESH) for _ in range(200)), f"seed {seed}"


@pytest.mark.parametrize("drop", [0.5, 0.86])
def test_p75_a_drop_after_three_reloads_is_found_once_with_its_cause(drop):
    for seed in SEEDS:
        cause = list(CHANGES)[seed % len(CHANGES)]
        after = evolve(FRESH, loads_since_start=4, **CHANGES[cause])
        _, events = slowed(seed, drop, 0.05, after)
        assert [each.cause for each in events] == [cause], f"seed {seed}"


@pytest.mark.parametrize("drop", [0.5, 0.86])
def test_p75_a_drop_after_three_reloads_has_the_right_factor(drop):
    # At a noise of 5 % chance alone moves the medians of five and three apart by more than 15 %,
    # in 8 of a thousand when it is noticed, in 4 of a thousand three answers later.
    for seed in SEEDS:
        pace, (event,) = slowed(seed, drop, 0.03, FRESH)
        for factor in (event.factor, pace.slowdown.factor):
            assert factor == pytest.approx(1 - drop, rel=0.15), f"seed {seed}"


def test_a_slowdown_says_the_numbers_and_what_to_do():
    pace = settled(37.0)
    after = evolve(FRESH, on_gpu_ratio=0.12, available_bytes=6 * GIB, free_bytes=GIB // 2)
    event = [pace.add(5.0, 100, after) for _ in range(3)][1]
    assert str(event).startswith(
        "degraded: 5.0 tokens/s where it had 37.0 (14%); 12% of it is on the GPU, where 100% was: "
        "of 6.0 GiB available memory only 0.5 GiB is free"
    )
    assert "drop_caches" in str(event)


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_remedy(cause):
    assert cause.remedy


def test_a_slowdown_is_told_once_and_lasts_with_fresh_numbers():
    pace = settled(40.0)
    events = [pace.add(rate, 100, FRESH) for rate in (20, 20, 20, 10, 10, 10)]
    assert [bool(each) for each in events] == [False, True, False, False, False, False]
    assert pace.slowdown.tokens_per_second == 10


def test_one_slow_answer_is_none():
    pace = settled(40.0)
    for rate in (5, 40, 40, 5, 40, 40):
        assert pace.add(rate, 100, FRESH) is None
    assert pace.slowdown is None


def test_a_model_that_gets_fast_again_has_recovered_and_may_get_slow_again():
    pace = settled(40.0)
    for _ in range(3):
        pace.add(20, 100, FRESH)
    for rate, slow in ((31, True), (31, True), (31, True), (35, True), (35, False)):
        pace.add(rate, 100, FRESH)
        assert bool(pace.slowdown) is slow, rate
    assert [bool(pace.add(20, 100, FRESH)) for _ in range(3)] == [False, True, False]


def test_a_little_slower_for_long_is_shown_and_is_no_event():
    pace = settled(40.0)
    shown = []
    for _ in range(8):
        assert pace.add(32, 100, FRESH) is None
        shown.append(pace.slowdown and pace.slowdown.verdict)
    assert shown == [None] * 5 + ["slower"] * 3


def test_what_was_slower_and_gets_worse_is_an_event():
    pace = settled(40.0)
    for _ in range(8):
        pace.add(32, 100, FRESH)
    assert [bool(pace.add(10, 100, FRESH)) for _ in range(3)] == [False, True, False]


NO_MEASURE = [
    *((5.0, LEAST_TOKENS - 1), (5.0, None), (None, 100), (0.0, 100), (-1.0, 100)),
    *((float("nan"), 100), (float("inf"), 100)),
]


@pytest.mark.parametrize(("rate", "tokens"), NO_MEASURE)
def test_what_is_no_measure_is_passed_over(rate, tokens):
    pace = settled(40.0)
    for _ in range(10):
        assert pace.add(rate, tokens, FRESH) is None
    assert pace.slowdown is None


def test_an_answer_of_eight_tokens_counts():
    pace = settled(40.0)
    assert any(pace.add(5, LEAST_TOKENS, FRESH) for _ in range(3))


def test_the_baseline_does_not_follow_a_slow_drift():
    pace = settled(40.0)
    events = [pace.add(40 * 0.99**step, 100, FRESH) for step in range(60)]
    assert sum(map(bool, events)) == 1


def test_a_long_chat_is_no_slow_model():
    pace = settled(40.0)
    deep = evolve(FRESH, context_tokens=16_000)
    for _ in range(20):
        assert pace.add(12, 100, deep) is None
    assert pace.slowdown is None


def test_chats_as_long_as_those_of_the_baseline_are_compared():
    pace = paced(*[12] * 5, evidence=evolve(FRESH, context_tokens=16_000))
    assert any(pace.add(5, 100, evolve(FRESH, context_tokens=18_000)) for _ in range(3))


def test_another_engine_is_measured_by_the_speed_of_the_former_one():
    pace = settled(40.0)
    events = [pace.add(20, 100, evolve(FRESH, engine_version="0.17.0")) for _ in range(3)]
    assert events[1].because == "the engine is 0.17.0, where it was 0.12.3"


def test_other_settings_have_a_baseline_of_their_own_and_keep_it():
    pace = settled(40.0)
    for _ in range(8):
        assert pace.add(10, 100, FRESH, key=(32_768, 0)) is None
    assert [bool(pace.add(20, 100, FRESH)) for _ in range(3)] == [False, True, False]
    assert pace.add(10, 100, FRESH, key=(32_768, 0)) is None
    assert pace.slowdown is None


@pytest.mark.parametrize(("rate", "degraded"), [(28.1, False), (27.9, True)])
def test_below_seven_tenths_is_degraded(rate, degraded):
    pace = settled(40.0)
    assert any(pace.add(rate, 100, FRESH) for _ in range(4)) is degraded


def test_what_moved_off_the_gpu_matters_more_than_a_new_version():
    pace = settled(40.0)
    after = evolve(FRESH, on_gpu_ratio=0.4, engine_version="0.17.0", swap_free_bytes=0)
    assert [pace.add(10, 100, after) for _ in range(2)][1].cause is Cause.MEMORY_LATE


def test_the_settings_used_last_keep_their_baseline():
    pace = settled(40.0)
    for key in range(100):
        pace.add(10, 100, FRESH, key=key)
        pace.add(None, None, FRESH)
    assert any(pace.add(20, 100, FRESH) for _ in range(3))


def test_baselines_of_many_settings_do_not_pile_up():
    pace = Pace()
    for key in range(100):
        pace.add(10, 100, FRESH, key=key)
    assert len(pace._tracks) == MOST_BASELINES


@pytest.mark.parametrize("name", [each.name for each in Evidence.__attrs_attrs__])
def test_what_is_not_known_is_no_cause(name):
    for cause, change in CHANGES.items():
        after = evolve(FRESH, **change)
        for before, now in ((evolve(FRESH, **{name: None}), after), (FRESH, Evidence())):
            pace = paced(*[40] * 5, evidence=before)
            events = [pace.add(10, 100, now) for _ in range(3)]
            assert events[1].cause in {cause, Cause.UNKNOWN, Cause.MEMORY_LATE}


def test_what_the_last_answer_does_not_know_is_known_from_the_one_before():
    pace = settled(40.0)
    pace.add(10, 100, evolve(FRESH, on_gpu_ratio=0.3))
    assert pace.add(10, 100, Evidence()).cause is Cause.MEMORY_LATE


def test_moving_one_layer_and_a_little_swapping_explain_nothing():
    pace = settled(40.0)
    after = evolve(FRESH, on_gpu_ratio=0.97, swap_free_bytes=4 * GIB - (64 << 20))
    assert [pace.add(10, 100, after) for _ in range(2)][1].cause is Cause.UNKNOWN
