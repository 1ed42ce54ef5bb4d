"""Two benchmarks side by side: what is a difference, and what is not."""

import random

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from orac_core.benchmark.compare import changed, compare
from orac_core.benchmark.results import LoadTime, MemoryUse, Result, Workload
from tests.core.benchmark.reports import HOST, WORKLOAD, measured, noisy, quality, report, subject

RATES = st.lists(st.floats(1, 100), min_size=1, max_size=12)


def two(old, new, **changes):
    return compare(
        report({"local/a": old}, number=1), report({"local/a": new}, number=2, **changes)
    )


def change(comparison, metric, workload=WORKLOAD.name):
    (pair,) = [pair for pair in comparison.pairs if pair.workload == workload]
    (found,) = [one for one in pair.changes if one.metric == metric]
    return found


def with_subject(whole, **changes):
    (result,) = whole.results
    return evolve(whole, results=(evolve(result, subject=evolve(result.subject, **changes)),))


def test_a_faster_model_is_better_in_rate_and_latency():
    chance = random.Random(1)
    comparison = two(noisy(chance, 40), noisy(chance, 48))
    rate, latency = (change(comparison, it) for it in ("decode_tokens_per_second", "latency_s"))
    assert (rate.verdict, latency.verdict) == ("better", "better")
    assert rate.ratio == pytest.approx(0.2, abs=0.03)
    assert latency.ratio < 0
    assert (rate.old.n, rate.new.n) == (10, 10)
    assert rate.old.ci95[0] <= rate.old.median <= rate.old.ci95[1]
    assert rate.p < 0.001


def test_a_slower_one_is_worse():
    chance = random.Random(2)
    comparison = two(noisy(chance, 40), noisy(chance, 30))
    assert change(comparison, "decode_tokens_per_second").verdict == "worse"
    assert change(comparison, "gross_j_per_token").verdict == "worse"


def test_noise_is_seldom_taken_for_a_difference():
    verdicts = []
    for seed in range(100):
        chance = random.Random(seed)
        verdicts.append(changed("x", "higher", noisy(chance, 40), noisy(chance, 40)).verdict)
    assert verdicts.count("same") >= 90


def test_three_samples_of_each_can_not_tell():
    found = change(two([40, 41, 42], [10, 11, 12]), "decode_tokens_per_second")
    assert (found.verdict, found.p) == ("unknown", pytest.approx(0.1))
    assert change(two([40, 41, 42, 43], [10, 11, 12, 13]), "tpot_s").verdict == "worse"


@settings(deadline=None, max_examples=30)
@given(RATES, RATES)
def test_the_other_way_round_better_is_worse(old, new):
    there, back = changed("x", "higher", old, new), changed("x", "higher", new, old)
    turned = {"better": "worse", "worse": "better"}
    assert back.verdict == turned.get(there.verdict, there.verdict)
    assert there.p == pytest.approx(back.p)


@settings(deadline=None, max_examples=15)
@given(RATES)
def test_a_report_compared_with_itself_shows_no_difference(rates):
    comparison = two(rates, rates)
    verdicts = {one.verdict for pair in comparison.pairs for one in pair.changes}
    assert verdicts <= {"same", "unknown"}
    assert comparison.differences == ()


def test_warming_up_and_failures_do_not_count():
    before, after = report({"local/a": [40] * 6}), report({"local/a": [40] * 6})
    spoilt = (
        evolve(after.samples[0], round=0, elapsed_s=99.0),
        evolve(after.samples[0], error="it broke off", elapsed_s=0.0),
    )
    found = change(compare(before, evolve(after, samples=(*after.samples, *spoilt))), "latency_s")
    assert (found.new.n, found.verdict) == (6, "same")


def test_without_samples_the_intervals_decide():
    chance = random.Random(4)
    one, other = report({"local/a": noisy(chance, 40)}), report({"local/a": noisy(chance, 50)})
    bare = compare(evolve(one, samples=()), evolve(other, samples=()))
    found = change(bare, "decode_tokens_per_second")
    assert (found.verdict, found.p) == ("better", None)
    same = compare(evolve(one, samples=()), evolve(one, samples=()))
    assert change(same, "decode_tokens_per_second").verdict == "same"


def test_quality_loads_and_memory_are_compared_without_a_workload():
    before, after = report(), report()
    (result,) = after.results
    later = evolve(
        result,
        quality=quality(30),
        loads=tuple(LoadTime(9.0 + at / 10) for at in range(5)),
        memory=MemoryUse(1 << 30),
    )
    (earlier,) = before.results
    before = evolve(
        before,
        results=(evolve(earlier, loads=tuple(LoadTime(2.0 + at / 10) for at in range(5))),),
    )
    comparison = compare(before, evolve(after, results=(later,)))
    assert change(comparison, "quality_score", "").verdict == "worse"
    assert change(comparison, "load_s", "").verdict == "worse"
    memory = change(comparison, "memory_bytes", "")
    assert (memory.verdict, memory.ratio) == ("unknown", -0.5)


def test_what_was_measured_once_only_is_shown_and_not_judged():
    before = report()
    (result,) = before.results
    without = evolve(before, results=(evolve(result, quality=None),))
    found = change(compare(without, before), "quality_score", "")
    assert (found.old, found.new.median, found.verdict) == (None, 75.0, "unknown")


def test_models_are_matched_by_their_file_then_by_their_name():
    renamed = compare(
        with_subject(report({"local/a": [1.0]}), sha256="f" * 64),
        with_subject(report({"ollama/b": [1.0]}), sha256="f" * 64, kind="ollama"),
    )
    assert {(pair.old, pair.new) for pair in renamed.pairs} == {("local/a", "ollama/b")}
    assert "ollama/b: kind llamacpp against ollama" in str(renamed.differences[0])
    replaced = compare(
        with_subject(report({"local/a": [1.0]}), sha256="e" * 64),
        with_subject(report({"local/a": [1.0]}), sha256="f" * 64),
    )
    assert {(pair.old, pair.new) for pair in replaced.pairs} == {("local/a", "local/a")}
    assert [one.what for one in replaced.differences] == ["local/a: sha256"]


def test_of_two_with_the_same_file_the_one_with_the_same_name_is_taken():
    def both(*names):
        whole = report({name: [1.0] for name in names})
        return evolve(
            whole,
            results=tuple(
                evolve(one, subject=evolve(one.subject, sha256="f" * 64)) for one in whole.results
            ),
        )

    found = compare(both("local/a", "ollama/a"), both("ollama/a", "local/a"))
    assert [(pair.old, pair.new) for pair in found.pairs if pair.workload] == [
        ("ollama/a", "ollama/a"),
        ("local/a", "local/a"),
    ]


def test_models_without_a_counterpart_are_named():
    found = compare(report({"local/a": [1.0]}), report({"local/b": [1.0]}))
    assert (found.only_old, found.only_new, found.pairs) == (("local/a",), ("local/b",), ())


def test_a_workload_that_one_side_lacks_is_left_out():
    whole = report({"local/a": [1.0]})
    (result,) = whole.results
    other = Workload("pp64+tg16", 64, 16)
    more = evolve(result, measured=(*result.measured, measured(whole.samples, other)))
    found = compare(whole, evolve(whole, results=(more,)))
    assert [pair.workload for pair in found.pairs] == [WORKLOAD.name, ""]


def test_other_conditions_are_told():
    other = {**HOST, "power_mode": "MAXN", "clocks": {"gpu_hz": 1_020_000_000}}
    after = report(host=other, options={"rounds": 5, "max_tokens": 1}, suite="latency")
    found = compare(report(), with_subject(after, engine_version="b9000", context_length=8192))
    assert [str(one) for one in found.differences] == [
        "not comparable: host.clocks.gpu_hz 625000000 against 1020000000",
        "not comparable: host.power_mode 15W against MAXN",
        "not comparable: options.max_tokens unknown against 1",
        "not comparable: suite full against latency",
        "not comparable: local/small: engine_version b8146 against b9000",
        "not comparable: local/small: context_length 4096 against 8192",
    ]


def test_options_that_no_figure_depends_on_are_no_other_conditions():
    options = {"rounds": 9, "seed": 1, "models": ["a"], "verify": True, "unload": True}
    assert compare(report(), report(options=options)).differences == ()


def test_what_one_side_does_not_know_of_a_model_is_no_difference():
    found = compare(report(), with_subject(report(), engine_version=None, sha256=None))
    assert found.differences == ()


def test_a_model_that_failed_is_matched_and_has_no_figures():
    failed = evolve(report(), results=(Result(subject(), error="it broke"),), samples=())
    found = compare(failed, failed)
    assert (found.pairs, found.only_old, found.only_new) == ((), (), ())
