"""Which models are worth choosing."""

import random
from itertools import permutations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orac_core.benchmark.recommend import Candidate, Score, dominates, front, recommend
from orac_core.benchmark.results import MemoryUse
from tests.core.benchmark.reports import HOST, broken, id_of, noisy, quality, report

NAMES = ("decode_tokens_per_second", "ttft_s", "quality_score", "gross_j_per_token")
GIB = 1 << 30


@st.composite
def scores(draw):
    value = draw(st.integers(0, 6))
    ends = st.none() | st.tuples(st.integers(0, 3), st.integers(0, 3))
    spread = draw(ends)
    ci95 = None if spread is None else (value - spread[0] / 2, value + spread[1] / 2)
    return Score(float(value), ci95, "r")


KNOWN = st.sets(st.sampled_from(NAMES), min_size=3)
CANDIDATES = st.lists(
    st.one_of(
        st.fixed_dictionaries(dict.fromkeys(NAMES[:2], scores())),
        KNOWN.flatmap(lambda names: st.fixed_dictionaries(dict.fromkeys(sorted(names), scores()))),
    ),
    max_size=8,
).map(lambda all_: [Candidate(f"m{nth}", (), one) for nth, one in enumerate(all_)])


@given(CANDIDATES)
def test_nothing_on_the_front_is_dominated(candidates):
    for one in front(candidates).candidates:
        assert not any(dominates(other, one) for other in candidates)


@given(CANDIDATES)
def test_whoever_is_off_the_front_is_dominated_by_a_model_on_it(candidates):
    found = front(candidates)
    best = {one.model: one for one in found.candidates}
    for one in found.dominated:
        assert one.by
        assert all(dominates(best[name], one.candidate) for name in one.by)


@given(CANDIDATES, st.randoms())
def test_the_order_does_not_matter_and_nobody_is_lost(candidates, chance):
    shuffled = chance.sample(candidates, len(candidates))
    found = front(candidates)
    assert front(shuffled) == found
    named = [one.model for one in found.candidates] + [
        one.candidate.model for one in found.dominated
    ]
    assert sorted(named) == sorted(one.model for one in candidates)


@given(CANDIDATES)
def test_nobody_dominates_itself_and_no_two_each_other(candidates):
    for one in candidates:
        for other in candidates:
            assert not (dominates(one, other) and dominates(other, one))


@given(CANDIDATES)
def test_who_dominates_is_distinguishable_somewhere_and_worse_nowhere(candidates):
    higher = {"decode_tokens_per_second", "quality_score"}
    for one in candidates:
        for other in (found for found in candidates if dominates(one, found)):
            pairs = [(name, one.scores[name], other.scores[name]) for name in other.scores]
            for name, mine, its in pairs:
                assert mine.value >= its.value if name in higher else mine.value <= its.value
            assert any(
                mine.ci95
                and its.ci95
                and (mine.ci95[0] > its.ci95[1] or mine.ci95[1] < its.ci95[0])
                for _, mine, its in pairs
            )


def result(whole, model):
    return next(one for one in whole.results if one.subject.model == model)


def changed(whole, **models):
    """Return a report in which the results of these models have other values."""
    return evolve(
        whole,
        results=tuple(
            evolve(one, **models.get(one.subject.model.partition("/")[2], {}))
            for one in whole.results
        ),
    )


def rated(rates, **changes):
    chance = random.Random(7)
    return report({f"local/{name}": noisy(chance, rate) for name, rate in rates.items()}, **changes)


def models(found):
    return [one.model for one in found.candidates]


def test_a_model_that_is_slower_worse_and_larger_is_one_nobody_should_pick():
    whole = changed(
        rated({"small": 60, "good": 20, "bad": 15}),
        small={"quality": quality(60), "memory": MemoryUse(GIB)},
        good={"quality": quality(115), "memory": MemoryUse(3 * GIB)},
        bad={"quality": quality(50), "memory": MemoryUse(4 * GIB)},
    )
    found = recommend([whole])
    assert models(found.overall) == ["local/small", "local/good"]
    (out,) = found.overall.dominated
    assert (out.candidate.model, out.by) == ("local/bad", ("local/small", "local/good"))
    assert (found.workload, found.tasks, found.notes) == ("pp512+tg128", "orac-tasks 1 (120)", ())


def test_models_that_can_not_be_told_apart_stay_all():
    whole = rated({"one": 40, "other": 40.1})
    assert len(recommend([whole]).overall.candidates) == 2


def test_a_front_for_each_role():
    whole = rated({"a": 60, "b": 30, "c": 10})
    roles = {"a": ("general",), "b": ("coding", "general"), "c": ()}
    whole = evolve(
        whole,
        results=tuple(
            evolve(one, subject=evolve(one.subject, roles=roles[one.subject.model[-1]]))
            for one in whole.results
        ),
    )
    found = recommend([whole])
    assert {role: models(front) for role, front in found.roles.items()} == {
        "coding": ["local/b"],
        "general": ["local/a"],
    }


def test_what_was_not_measured_is_said_and_not_guessed():
    whole = rated({"a": 60, "b": 10})
    whole = changed(whole, b={"quality": None}, a={"memory": MemoryUse()})
    whole = evolve(whole, samples=tuple(evolve(one, energy=None) for one in whole.samples))
    whole = evolve(
        whole,
        results=tuple(
            evolve(one, measured=(evolve(one.measured[0], energy=None),)) for one in whole.results
        ),
    )
    found = recommend([whole])
    assert found.overall.dominated == ()
    assert found.notes == (
        "quality_score was not measured for local/b",
        "gross_j_per_token was not measured",
        "memory_bytes was not measured for local/a",
    )


def test_a_model_that_failed_is_no_choice_and_is_said():
    whole = rated({"a": 60})
    found = recommend([evolve(whole, results=(*whole.results, broken()))])
    assert found.notes == ("local/broken could not be measured: it did not load: out of memory",)
    assert (models(found.overall), found.overall.dominated) == (["local/a"], ())


def test_a_model_that_failed_lately_is_judged_by_what_was_measured_before_and_is_said():
    old = rated({"a": 60}, number=1)
    (result,) = old.results
    failed = evolve(result, measured=(), quality=None, error="it crashed")
    found = recommend([old, rated({"a": 1}, number=2, results=(failed,), samples=())])
    assert models(found.overall) == ["local/a"]
    assert found.notes == ("local/a could not be measured: it crashed",)


def test_the_newest_value_counts_and_older_ones_fill_its_gaps():
    old = rated({"a": 60}, number=1, host={**HOST, "orac": "0.1.0"})
    new = rated({"a": 30}, number=2, host={**HOST, "orac": "0.2.0"})
    found = recommend([changed(new, a={"quality": None}), old])
    (a,) = found.overall.candidates
    assert a.scores["decode_tokens_per_second"].value == pytest.approx(30, rel=0.05)
    assert a.scores["decode_tokens_per_second"].report == id_of(2)
    assert a.scores["quality_score"].report == id_of(1)


def test_values_of_another_file_another_machine_or_other_tasks_do_not_fill_gaps():
    new = changed(rated({"a": 30}, number=9), a={"quality": None})
    (result,) = rated({"a": 60}).results
    file = evolve(result, subject=evolve(result.subject, sha256="f" * 64))
    other_file = rated({"a": 60}, number=1, results=(file,))
    machine = rated({"a": 60}, number=2, host={**HOST, "power_mode": "MAXN"})
    found = recommend([other_file, new, machine])
    assert found.notes == (
        "older reports of another machine or power mode are left out: 1",
        "quality_score was not measured",
    )
    tasks = changed(rated({"b": 60}, number=1), b={"quality": quality(tasks="mine 2 (3)")})
    assert (
        "quality_score was not measured for local/b"
        in recommend([tasks, rated({"a": 30}, number=2)]).notes
    )


def test_the_order_of_reports_does_not_matter():
    reports = [rated({"a": 60, "b": 50 + nth}, number=nth) for nth in range(3)]
    first, *others = (recommend(order) for order in permutations(reports))
    assert others == [first] * 5


def test_without_reports_there_is_nothing_to_recommend():
    found = recommend([])
    assert (found.overall.candidates, found.roles, found.notes) == ((), {}, ())
