"""Rates, the score with its interval, and comparing two models."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orac_core.benchmark.quality import FAMILIES, PARTS, WEIGHTS, Mark, Outcome, compare, scored
from orac_core.benchmark.quality.scoring import MOST_NAMED, interval, rates, score
from orac_core.benchmark.results import Rate
from orac_core.statistics import wilson


def rate_of(hits, n):
    return Rate(hits, n, wilson(hits, n))


counts = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
tables = st.dictionaries(
    st.sampled_from([part.name for part in PARTS]),
    counts.map(lambda count: rate_of(*count)),
)
weights = st.dictionaries(st.sampled_from([*WEIGHTS]), st.floats(0, 10), min_size=1)


def quality(hits=5, n=10, part="exact", tasks="mine 1 (10)"):
    outcomes = {
        str(number): Outcome((Mark(part, number < hits),), None if number < hits else "wrong")
        for number in range(n)
    }
    return scored(outcomes, tasks)


@given(tables, weights)
def test_the_score_lies_within_its_interval_and_both_within_0_and_100(parts, weights):
    found, ends = score(parts, weights), interval(parts, weights)
    if ends is None:
        assert found == 0
    else:
        assert 0 <= ends[0] <= found + 1e-9
        assert found - 1e-9 <= ends[1] <= 100


@given(tables, st.data())
def test_one_more_that_is_right_never_lowers_the_score(parts, data):
    open_ones = [name for name, rate in parts.items() if rate.hits < rate.n]
    if open_ones:
        name = data.draw(st.sampled_from(open_ones))
        better = evolve(parts[name], hits=parts[name].hits + 1)
        gained = score({**parts, name: better}) - score(parts)
        assert gained > 0 if WEIGHTS[name] else gained == 0


@given(tables)
def test_what_counts_nothing_changes_nothing(parts):
    counting = {name: rate for name, rate in parts.items() if WEIGHTS[name]}
    assert score(parts) == score(counting)
    assert interval(parts) == interval(counting)


@given(tables, st.floats(0.1, 10))
def test_only_the_proportion_of_weights_matters(parts, factor):
    scaled = {name: weight * factor for name, weight in WEIGHTS.items()}
    assert score(parts, scaled) == pytest.approx(score(parts))
    assert interval(parts, scaled) == (interval(parts) and pytest.approx(interval(parts)))


@given(counts, st.sampled_from([name for name in WEIGHTS if WEIGHTS[name]]))
def test_of_a_single_part_the_score_is_its_rate_and_the_interval_wilsons(count, name):
    parts = {name: rate_of(*count)}
    assert score(parts) == pytest.approx(100 * count[0] / count[1])
    assert interval(parts) == pytest.approx([100 * end for end in wilson(*count)])


def test_parts_of_one_family_do_not_make_the_interval_narrower_and_others_do():
    rate = Rate(10, 20, wilson(10, 20))

    def width(*names):
        ends = interval(dict.fromkeys(names, rate), dict.fromkeys(names, 1.0))
        return ends[1] - ends[0] if ends else None

    assert width("tool_name", "tool_arguments_equal") == pytest.approx(width("tool_name"))
    assert width("exact", "regex") == pytest.approx(width("exact") / 2**0.5)


def test_the_score_is_the_weighted_mean_of_its_rates():
    parts = {"exact": Rate(1, 2), "regex": Rate(4, 4), "json_validity_loose": Rate(0, 3)}
    assert score(parts) == pytest.approx(100 * (2 * 0.5 + 1 * 1) / 3)


def test_marks_add_up_by_part_in_the_order_of_a_report():
    outcomes = [
        Outcome((Mark("plan_goal", 1), Mark("instruction_strict", 2, 3))),
        Outcome((Mark("instruction_strict", 1, 2),)),
    ]
    found = rates(outcomes)
    assert [*found] == ["instruction_strict", "plan_goal"]
    assert found["instruction_strict"] == Rate(3, 5, wilson(3, 5))


def test_the_report_has_weights_and_names_the_first_that_went_wrong():
    found = quality(hits=0, n=50)
    assert found.weights == {"exact": WEIGHTS["exact"]}
    assert len(found.failed) == MOST_NAMED
    assert found.failed[0] == ("0", "wrong")
    assert found.tasks == "mine 1 (10)"


def test_nothing_answered_is_a_score_of_0_without_interval():
    found = scored({}, "mine 1 (0 of 10)")
    assert (found.score, found.ci95, found.parts) == (0, None, {})


def test_every_part_belongs_to_a_family_and_only_strict_ones_count():
    assert FAMILIES.keys() == WEIGHTS.keys()
    assert all((part.weight == 0) == part.name.endswith("_loose") for part in PARTS)


def test_models_whose_intervals_overlap_are_not_distinguishable():
    found = compare(quality(5), quality(7))
    assert found.score.verdict == "not distinguishable"
    assert [each.verdict for each in found.parts] == ["not distinguishable"]


def test_models_whose_intervals_are_apart_are_better_and_worse():
    assert compare(quality(10), quality(1)).score.verdict == "better"
    assert compare(quality(1), quality(10)).parts[0].verdict == "worse"


@given(counts, counts)
def test_what_is_better_one_way_is_worse_the_other_way(one, other):
    there, back = (compare(quality(*a), quality(*b)) for a, b in ((one, other), (other, one)))
    turned = {"better": "worse", "worse": "better"}
    assert back.score.verdict == turned.get(there.score.verdict, there.score.verdict)


def test_of_other_tasks_nothing_can_be_told():
    found = compare(quality(10), quality(1, tasks="mine 2 (10)"))
    assert found.score.verdict == found.parts[0].verdict == "not comparable"


def test_with_other_weights_only_the_parts_can_be_compared():
    found = compare(quality(10), evolve(quality(1), weights={"exact": 9.0}))
    assert found.score.verdict == "not comparable"
    assert found.parts[0].verdict == "better"


def test_a_part_that_only_one_has_is_not_comparable():
    found = compare(quality(10), quality(10, part="regex"))
    assert {each.name: each.verdict for each in found.parts} == {
        "exact": "not comparable",
        "regex": "not comparable",
    }
    assert [each.other for each in found.parts] == [None, 1.0]
