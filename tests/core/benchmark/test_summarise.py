import numpy as np
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from orac_core.benchmark.measure import Label, Marks, sample, shares
from orac_core.benchmark.request import Goals
from orac_core.benchmark.results import Energy, Measured, Result, Subject, Workload
from orac_core.benchmark.summarise import covered_s, measured, ranked
from orac_core.conversation import Answer, Rates, Usage
from orac_core.statistics import Summary
from tests.core.benchmark.bench import made

WORKLOAD = Workload("pp16+tg8", 16, 8)
seconds = st.floats(0.001, 1000)
counts = st.integers(1, 5000)
samples = st.lists(
    st.builds(
        lambda elapsed, first, tokens, start: made(
            start=start,
            elapsed_s=elapsed,
            ttft_s=elapsed * first,
            tpot_s=elapsed * (1 - first) / tokens,
            completion_tokens=tokens + 1,
        ),
        seconds,
        st.floats(0.01, 0.9),
        counts,
        st.floats(0, 1e6),
    ),
    min_size=1,
    max_size=110,
)


@settings(max_examples=50)
@given(samples)
def test_percentiles_are_those_of_numpy_on_the_raw_samples(found):
    figures = measured(WORKLOAD, found)
    for summary, values in (
        (figures.latency_s, [it.elapsed_s for it in found]),
        (figures.ttft_s, [it.ttft_s for it in found]),
        (figures.tpot_s, [it.tpot_s for it in found]),
    ):
        assert summary.p50 == pytest.approx(np.percentile(values, 50), rel=1e-12)
        assert (summary.p95 is None) == (len(values) < 20)
        assert (summary.p99 is None) == (len(values) < 100)
        if summary.p95 is not None:
            assert summary.p95 == pytest.approx(np.percentile(values, 95), rel=1e-12)
        if summary.p99 is not None:
            assert summary.p99 == pytest.approx(np.percentile(values, 99), rel=1e-12)


@settings(max_examples=25)
@given(samples, samples)
def test_only_measured_answers_of_the_same_workload_count(found, others):
    strangers = [
        *(evolve(it, round=0) for it in others),
        *(evolve(it, workload="pp1+tg1") for it in others),
    ]
    assert measured(WORKLOAD, [*found, *strangers]) == measured(WORKLOAD, found)


@given(samples)
def test_failures_are_counted_and_measure_nothing(found):
    failed = [evolve(it, error="no", ttft_s=None, tpot_s=None) for it in found]
    figures = measured(WORKLOAD, failed)
    assert (figures.n, figures.failures) == (0, len(found))
    assert figures.latency_s is None
    assert figures.throughput_tokens_per_second is None


@settings(max_examples=25)
@given(samples)
def test_goals_that_are_met_by_all_make_the_goodput_all_answers(found):
    figures = measured(WORKLOAD, found, Goals(ttft_s=1e9))
    whole = covered_s((it.started_at, it.started_at + it.elapsed_s) for it in found)
    assert figures.goodput_per_second == pytest.approx(len(found) / whole)
    assert measured(WORKLOAD, found, Goals(latency_s=1e-9)).goodput_per_second == 0
    assert measured(WORKLOAD, found).goodput_per_second is None


spans = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=30)


@given(spans)
def test_a_moment_that_several_cover_counts_once(found):
    covered = {at for start, length in found for at in range(start, start + length)}
    assert covered_s((start, start + length) for start, length in found) == len(covered)


def test_gaps_of_all_answers_are_pooled():
    figures = measured(WORKLOAD, [made(gaps_s=(1.0, 2.0)), made(gaps_s=(3.0,))])
    assert (figures.gaps_s.n, figures.gaps_s.p50) == (3, 2.0)


def result(latency, error=None):
    summary = None if latency is None else Summary(1, 0, 0, 0, 0, latency)
    figures = (Measured(WORKLOAD, 1, latency_s=summary),) if latency is not None else ()
    return Result(Subject("m", "k"), measured=figures, error=error)


@given(st.lists(st.builds(result, st.none() | seconds, st.none() | st.just("no"))))
def test_models_are_sorted_by_their_median_latency_and_failures_are_last(found):
    order = list(ranked(found))
    assert sorted(map(id, order)) == sorted(map(id, found))
    good = [it for it in order if it.error is None]
    assert order[: len(good)] == good
    known = [it.measured[0].latency_s.p50 for it in good if it.measured]
    assert known == sorted(known)
    assert all(it.measured for it in good[: len(known)])


NS = 1_000_000_000
marks = st.builds(
    lambda start, steps, rest: Marks(
        start, [start + sum(steps[: n + 1]) for n in range(len(steps))], start + sum(steps) + rest
    ),
    st.integers(0, 10**15),
    st.lists(st.integers(1, NS), max_size=20),
    st.integers(0, NS),
)


def answer(tokens):
    usage = Usage(5, tokens, 0)
    return Answer("x", "m", "i", "length", 9.0, 0.25, 0.0, 9.0, usage, Rates(1.0, 2.0))


@given(marks, st.none() | st.integers(0, 100))
def test_times_are_by_the_clients_clock_and_add_up(found, tokens):
    taken = sample(Label("m", "w", 1), 5.0, found, answer(tokens))
    assert taken.elapsed_s == (found.end - found.start) / NS
    assert taken.queue_s == 0.25
    assert taken.completion_tokens == tokens
    if not found.pieces:
        assert (taken.ttft_s, taken.tpot_s, taken.gaps_s) == (None, None, ())
        return
    assert taken.ttft_s == (found.pieces[0] - found.start) / NS
    assert len(taken.gaps_s) == len(found.pieces) - 1
    assert sum(taken.gaps_s) == pytest.approx((found.pieces[-1] - found.pieces[0]) / NS, abs=1e-9)
    if tokens is None or tokens < 2:
        assert taken.tpot_s is None
    else:
        assert taken.ttft_s + taken.tpot_s * (tokens - 1) == pytest.approx(taken.elapsed_s)


@given(marks)
def test_without_an_answer_only_the_time_it_took_is_known(found):
    taken = sample(Label("m", "w", 1), 5.0, found, None)
    assert taken.elapsed_s == (found.end - found.start) / NS
    assert (taken.ttft_s, taken.tpot_s, taken.completion_tokens) == (None, None, None)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=8), st.floats(0, 1e6))
def test_the_shares_of_several_answers_are_all_the_energy_there_was(tokens, joules):
    whole = Energy(joules, 2.0, 1.0, "test", 10.0, coarse=False)
    parts = [it for it in shares(whole, tokens) if it is not None]
    assert len(parts) == len(tokens)
    assert sum(it.joules for it in parts) == pytest.approx(joules)
    assert sum(it.seconds for it in parts) == pytest.approx(2.0)
    assert shares(None, tokens) == [None] * len(tokens)
