"""A model that becomes slow is noticed, once; one that varies, or has long chats, is not."""

import json
import random
import time
from collections.abc import Callable

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orac_core.pace import Baseline, Conditions, Depth, Pace
from orac_core.pace.pace import LEAST_TOKENS, MOST_BASELINES

SAME = Conditions(model_sha256="5f1e", engine="llamacpp", engine_version="b6000", power_mode="25W")
SEEDS = range(1000)
DEEP = 16_000
PER_TOKEN = (2e-5, 5e-5, 1e-4, 3e-4)
PRIORS = (1.0, 0.5, 2.0, None)
"""What the prior is, as a multiple of what is so."""


Outlier = Callable[[random.Random], float]


def outliers_either_way(chance: random.Random) -> float:
    return chance.uniform(0.2, 2.0)


def outliers_downwards(chance: random.Random) -> float:
    return chance.uniform(0.2, 1.0)


def noise(outlier: Outlier) -> list[float]:
    """Factors on a rate: 5 % of them outliers, the others normal with a deviation of 5 %."""
    chance = random.Random(1)
    return [
        outlier(chance) if chance.random() < 0.05 else chance.gauss(1, 0.05) for _ in range(99_991)
    ]


NOISE: dict[Outlier, list[float]] = {
    each: noise(each) for each in (outliers_either_way, outliers_downwards)
}
_CHANCE = random.Random(2)
DEPTHS = [_CHANCE.uniform(0, DEEP) for _ in range(50_000)]
DEPTHS += [16 * 2 ** _CHANCE.uniform(0, 10) for _ in range(50_000)]


class Model:
    """A model with its true rate, and the pace that watches it, after five canaries."""

    def __init__(self, seed: int, outliers: Outlier = outliers_either_way) -> None:
        self.chance = random.Random(seed)
        self.noise = NOISE[outliers]
        self.rate = self.chance.uniform(2, 200)
        self.per_token = PER_TOKEN[seed // len(PRIORS) % len(PER_TOKEN)]
        off_by = PRIORS[seed % len(PRIORS)]
        self.pace = Pace(None if off_by is None else off_by * self.per_token)
        for factor in self.chance.choices(self.noise, k=5):
            self.pace.canary(self.rate * factor, SAME)

    def answer(self, times: int) -> int | None:
        """Answer at random depths; return how many answers it took until it was degraded."""
        factors = self.chance.choices(self.noise, k=times)
        depths = self.chance.choices(DEPTHS, k=times)
        add, rate, per_token = self.pace.add, self.rate, self.per_token
        for number, (factor, depth) in enumerate(zip(factors, depths, strict=True), 1):
            if add(rate * factor / (1 + per_token * depth), 64, depth, SAME):
                return number
        return None


def test_10_000_answers_with_noise_outliers_and_long_chats_are_no_alarm():
    alarmed = [seed for seed in SEEDS if Model(seed).answer(10_000)]
    assert len(alarmed) <= len(SEEDS) / 100, f"seeds {alarmed}"


@pytest.mark.parametrize("outliers", NOISE)
@pytest.mark.parametrize(("drop", "answers"), [(0.5, 5), (0.2, 25), (0.86, 5)])
def test_a_drop_is_found_within_so_many_answers(drop, answers, outliers):
    late = []
    for seed in SEEDS:
        model = Model(seed, outliers)
        model.answer(model.chance.randint(30, 300))
        model.rate *= 1 - drop
        model.answer(answers)
        found = model.pace.slowdown
        if found is None or found.verdict != "degraded":
            late.append(seed)
    assert len(late) <= len(SEEDS) / 100, f"seeds {late}"


def test_a_drop_is_told_with_the_right_factor():
    wrong = []
    for seed in SEEDS:
        model = Model(seed)
        model.answer(200)
        model.rate *= 0.4
        model.answer(20)
        model.answer(20)
        if model.pace.slowdown.factor != pytest.approx(0.4, rel=0.15):
            wrong.append(seed)
    assert len(wrong) <= len(SEEDS) / 100, f"seeds {wrong}"


def test_a_model_does_not_flap_between_well_and_degraded():
    """After a drop of a fifth: found once in 300 answers, and once it is gone it stays gone."""
    often = []
    for seed in SEEDS:
        model = Model(seed)
        model.answer(200)
        model.rate *= 0.8
        found = [model.answer(100) for _ in range(3)]
        model.rate /= 0.8
        gone = [model.answer(100) for _ in range(3)]
        if len([each for each in found if each]) != 1 or any(gone) or model.pace.slowdown:
            often.append(seed)
    assert len(often) <= len(SEEDS) / 50, f"seeds {often}"


def test_a_long_chat_is_no_slow_model_even_where_nothing_is_known_of_its_depth():
    for per_token in PER_TOKEN:
        pace = settled(40.0)
        for depth in range(0, 32_000, 100):
            assert pace.add(40 / (1 + per_token * depth), 64, depth, SAME) is None, depth
            assert pace.slowdown is None, depth


def test_an_answer_costs_microseconds():
    model = Model(0)
    started = time.process_time()
    model.answer(100_000)
    assert (time.process_time() - started) / 100_000 < 20e-6


def settled(rate=40.0, prior_per_token=None):
    pace = Pace(prior_per_token)
    for _ in range(5):
        assert pace.canary(rate, SAME, at=100.0) is None
    return pace


def add(pace, *rates, conditions=SAME, depth=0.0):
    """Add answers; return which of them made the model degraded."""
    return [bool(pace.add(rate, 100, depth, conditions)) for rate in rates]


def test_a_slowdown_is_told_once_and_lasts_with_fresh_numbers():
    pace = settled(40.0)
    assert add(pace, 20, 20, 20, 10, 10, 10) == [False, False, True, False, False, False]
    assert (pace.slowdown.tokens_per_second, pace.ratio) == (10, 0.25)


def test_a_slowdown_says_its_numbers():
    pace = settled(37.0)
    pace.add(37.0, 100, 0, SAME, at=100)
    event = [pace.add(5.0, 100, 0, SAME, at=200 + number) for number in range(3)][-1]
    assert str(event) == "degraded: 5.0 tokens/s where it had 37.0 (14%)"
    assert (event.alarm, event.answers, event.since) == ("ratio", 3, 200)


def test_three_very_slow_answers_in_a_row_are_enough():
    assert add(settled(40.0), 27.9, 27.9, 27.9)[-1] is True
    assert add(settled(40.0), 20, 40, 20, 40, 20, 40, 20)[-1] is False


def test_three_very_slow_answers_that_have_nothing_in_common_are_not():
    assert add(settled(40.0), 24, 9, 15) == [False] * 3


def test_four_of_five_very_slow_answers_are_enough():
    assert add(settled(40.0), 20, 21.5, 40, 20, 21.5) == [False] * 4 + [True]


def test_a_drop_of_a_fifth_is_found_by_what_adds_up():
    pace = settled(40.0)
    events = [pace.add(32, 100, 0, SAME) for _ in range(8)]
    (event,) = filter(None, events)
    assert (event.verdict, event.alarm, event.factor) == ("degraded", "cusum", 0.8)


def test_it_is_slower_before_it_is_degraded():
    pace, shown = settled(40.0), []
    for _ in range(8):
        pace.add(33, 100, 0, SAME)
        shown.append(pace.slowdown and pace.slowdown.verdict)
    assert shown == [None] * 3 + ["slower"] * 4 + ["degraded"]


def test_what_is_merely_slower_and_becomes_well_is_well():
    pace = settled(40.0)
    assert add(pace, 33, 33, 33, 33) == [False] * 4
    assert pace.slowdown.verdict == "slower"
    assert pace.slowdown.alarm is None
    add(pace, 40, 40, 40)
    assert pace.slowdown is None


def test_a_drop_of_a_tenth_is_none():
    pace = settled(40.0)
    assert not any(add(pace, *[36] * 500))
    assert pace.slowdown is None


def test_one_slow_answer_is_none():
    pace = settled(40.0)
    assert not any(add(pace, 5, 40, 40, 5, 40, 40))
    assert pace.slowdown is None


def test_a_model_has_recovered_after_three_fast_answers_and_may_get_slow_again():
    pace = settled(40.0)
    add(pace, 20, 20, 20)
    for rate, slow in ((31, True), (31, True), (40, True), (40, True), (40, False)):
        add(pace, rate)
        assert bool(pace.slowdown) is slow, rate
    assert add(pace, 20, 20, 20) == [False, False, True]


def test_a_fast_answer_now_and_then_is_no_recovery():
    pace = settled(40.0)
    add(pace, 20, 20, 20)
    assert not any(add(pace, *[20, 20, 400, 20] * 20))
    assert pace.slowdown.verdict == "degraded"


def test_a_slow_drift_is_found_because_the_baseline_does_not_follow():
    pace = settled(40.0)
    assert sum(add(pace, *[40 * 0.99**step for step in range(60)])) == 1


NO_MEASURE = [
    *((5.0, LEAST_TOKENS - 1), (5.0, None), (None, 100), (0.0, 100), (-1.0, 100)),
    *((float("nan"), 100), (float("inf"), 100)),
]


@pytest.mark.parametrize(("rate", "tokens"), NO_MEASURE)
def test_what_is_no_measure_is_passed_over(rate, tokens):
    pace = settled(40.0)
    for _ in range(10):
        assert pace.add(rate, tokens, 0, SAME) is None
    assert (pace.slowdown, pace.ratio) == (None, None)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_canary_without_a_rate_is_passed_over(rate):
    pace = Pace()
    for each in (40, rate, 40, rate, 40, 40):
        pace.canary(each, SAME)
    assert pace.baseline(SAME) is None
    pace.canary(40, SAME)
    assert pace.baseline(SAME).n == 5


def test_an_answer_of_eight_tokens_counts():
    pace = settled(40.0)
    assert any(pace.add(5, LEAST_TOKENS, 0, SAME) for _ in range(3))


def test_a_baseline_is_the_median_of_five_canaries():
    pace = Pace()
    for at, rate in enumerate((40, 12, 41, 42, 36)):
        assert pace.baseline(SAME) is None
        pace.canary(rate, SAME, at=float(at))
    assert pace.baseline(SAME) == Baseline(SAME, 40, 5, 0.75, provisional=False, measured_at=4.0)


def test_canaries_after_the_baseline_are_compared_with_it():
    pace = settled(40.0)
    assert [bool(pace.canary(10, SAME)) for _ in range(5)] == [False, False, True, False, False]
    assert pace.baseline(SAME).tokens_per_second == 40


def test_the_first_answers_make_a_provisional_baseline_until_canaries_make_one():
    pace = Pace()
    add(pace, 40, 40, 40, 40, 40)
    assert pace.baseline(SAME).provisional
    for _ in range(5):
        pace.canary(44, SAME)
    assert (pace.baseline(SAME).tokens_per_second, pace.baseline(SAME).provisional) == (44, False)


def test_canaries_of_a_slow_model_make_no_baseline():
    pace = Pace()
    add(pace, *[40] * 5, *[10] * 3)
    for _ in range(10):
        pace.canary(10, SAME)
    assert pace.baseline(SAME).tokens_per_second == 40
    assert pace.slowdown.verdict == "degraded"


def test_long_chats_make_no_provisional_baseline():
    pace = Pace()
    add(pace, *[40] * 20, depth=4000)
    assert pace.baseline(SAME) is None


def test_a_prior_takes_depth_out_of_the_rates():
    pace = settled(40.0, prior_per_token=1e-4)
    assert add(pace, *[20 / (1 + 1e-4 * 200)] * 3, depth=200)[-1] is True
    assert pace.slowdown.factor == pytest.approx(0.5, rel=0.05)


def test_what_depth_may_explain_is_learned_and_then_explains_no_more():
    def deep(rate):
        return rate / (1 + 1e-4 * 8000)

    fresh, learned = settled(40.0), settled(40.0)
    add(learned, *[deep(40)] * 30, depth=8000)
    assert not any(add(fresh, *[deep(24)] * 5, depth=8000))
    assert any(add(learned, *[deep(24)] * 5, depth=8000))


@given(st.floats(1e-5, 3e-4), st.integers(0, 1000))
def test_the_bounds_of_depth_keep_what_is_true_and_close_in(per_token, seed):
    chance, depth = random.Random(seed), Depth.about(per_token)
    width = depth.most - depth.least
    for _ in range(60):
        before = chance.uniform(1000, DEEP)
        depth.learn(chance.gauss(1, 0.05) / (1 + per_token * before), before)
        assert 0 <= depth.least <= depth.most
    # At the usual depth what is left moves a rate by less than the tolerance of either side.
    slack = 0.06 * (1 + per_token * DEEP / 2) / (DEEP / 2)
    assert depth.least - slack <= per_token <= depth.most + slack
    assert depth.most - depth.least < width


OTHERS = {
    "model_sha256": "77aa",
    "engine": "ollama",
    "engine_version": "b7000",
    "power_mode": "15W",
    "context_length": 4096,
    "gpu_layers": 12,
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_conditions_have_a_baseline_of_their_own_and_keep_it(name):
    pace, other = settled(40.0), evolve(SAME, **{name: OTHERS[name]})
    assert not any(add(pace, *[10] * 8, conditions=other))
    assert pace.baseline(other).tokens_per_second == 10
    assert add(pace, 20, 20, 20) == [False, False, True]
    assert not any(add(pace, 10, conditions=other))
    assert pace.slowdown is None


@pytest.mark.parametrize("name", ["engine_version", "power_mode"])
def test_the_baseline_of_the_former_version_remains_to_be_compared_with(name):
    pace, other = settled(40.0), evolve(SAME, **{name: OTHERS[name]})
    assert pace.former(SAME, name) is None
    assert pace.former(other, name).tokens_per_second == 40
    add(pace, *[10] * 5, conditions=other)
    assert pace.former(other, name).conditions == SAME
    newest = evolve(SAME, **{name: "newest"})
    assert pace.former(newest, name).tokens_per_second == 10
    assert pace.former(evolve(newest, gpu_layers=3), name) is None
    assert pace.former(evolve(other, **{name: None}), name) is None


@pytest.mark.parametrize("name", ["model_sha256", "engine", "engine_version", "power_mode"])
def test_what_is_not_known_is_no_change(name):
    unknown = evolve(SAME, **{name: None})
    for before, after in ((SAME, unknown), (unknown, SAME)):
        pace = Pace()
        add(pace, *[40] * 5, conditions=before)
        assert add(pace, 20, 20, 20, conditions=after)[-1] is True
        assert len(pace.as_data()) == 1
        assert pace.baseline(SAME).tokens_per_second == 40


def test_baselines_of_many_conditions_do_not_pile_up_and_the_used_ones_stay():
    pace = settled(40.0)
    for context in range(100):
        add(pace, *[10] * 5, conditions=evolve(SAME, context_length=context))
        add(pace, 40)
    assert len(pace.as_data()) == MOST_BASELINES
    assert add(pace, 20, 20, 20)[-1] is True


def test_what_is_forgotten_is_measured_anew():
    pace = settled(40.0)
    add(pace, 20, 20, 20)
    pace.forget(SAME)
    pace.forget(evolve(SAME, context_length=1))
    assert pace.slowdown is None
    assert not any(add(pace, *[20] * 20))
    assert pace.baseline(SAME).tokens_per_second == 20


def test_baselines_survive_a_restart_with_what_was_learned_of_depth():
    pace = settled(40.0)
    for depth in range(0, 16_000, 100):
        add(pace, 40 / (1 + 1e-4 * depth), depth=depth)
    again = Pace.from_data(json.loads(json.dumps(pace.as_data())))
    assert again.baseline(SAME) == pace.baseline(SAME)
    assert any(add(again, *[20 / (1 + 1e-4 * 8000)] * 3, depth=8000))


@given(
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text() | st.booleans(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_stored_data_that_is_none_is_left_out(data):
    assert Pace.from_data(data).as_data() == []
    assert Pace.from_data([data]).as_data() == []


DAMAGE = {
    "tokens_per_second": (None, 0.0, -1.0, float("nan"), float("inf"), "40"),
    "n": (None, "5", 5.5),
    "spread_ratio": (None, "0"),
    "provisional": (None, "no"),
    "measured_at": ("now",),
    "per_token": (None, [], [1.0], [2e-4, 1e-4], [-1.0, 1.0], [0.0, float("inf")], ["0", "1"]),
    "conditions": (None, [], {"engine": 5}, {"context_length": "4096"}, {"colour": "red"}),
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, each in DAMAGE.items() for v in each])
def test_a_stored_baseline_that_is_damaged_is_left_out_and_the_others_stay(name, value):
    (whole,) = settled(40.0).as_data()
    damaged = whole | {name: value}
    lacking = {key: each for key, each in whole.items() if key != name}
    assert Pace.from_data([damaged, lacking, whole]).as_data() == [whole]
