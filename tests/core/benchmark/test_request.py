import math

import pytest

from orac_core import InvalidRequest
from orac_core.benchmark.request import BenchmarkRequest, Goals, Limit
from orac_core.manifest import BenchmarkSettings, parse


def test_the_defaults_make_sense():
    BenchmarkRequest().check()
    assert [it.name for it in BenchmarkRequest().workloads()] == ["pp512+tg128"]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"suite": "speed"}, "suite"),
        ({"rounds": 0}, "rounds"),
        ({"rounds": True}, "rounds"),
        ({"rounds": 2.0}, "rounds"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"missions": 0}, "missions"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"prompts": ("a", "")}, "prompts.1"),
        ({"presets": ("pp1",)}, "presets.0"),
        ({"models": ("m", "")}, "models.1"),
        ({"models": ("m",) * 65}, "models"),
        ({"goals": Goals(ttft_s=0)}, "goals.ttft_s"),
        ({"goals": Goals(tpot_s=math.nan)}, "goals.tpot_s"),
        ({"limit": Limit(answer_over_s=-1)}, "limit.answer_over_s"),
        ({"limit": Limit(memory_over_bytes=math.inf)}, "limit.memory_over_bytes"),
    ],
)
def test_a_value_that_makes_no_sense_is_named_by_its_path(given, path):
    with pytest.raises(InvalidRequest) as caught:
        BenchmarkRequest(**given).check()
    assert list(caught.value.details) == [path]


def test_every_fault_is_named_at_once():
    with pytest.raises(InvalidRequest) as caught:
        BenchmarkRequest(rounds=0, presets=("x",), suite="y").check()
    assert {*caught.value.details} == {"rounds", "presets.0", "suite"}


def test_only_the_full_suite_measures_loads_unless_it_is_said():
    assert BenchmarkRequest(suite="full").measures_loads
    assert not BenchmarkRequest(suite="full", loads=False).measures_loads
    assert not BenchmarkRequest().measures_loads
    assert BenchmarkRequest(loads=True).measures_loads


def test_quality_alone_times_nothing():
    request = BenchmarkRequest(suite="quality")
    assert request.measures_quality
    assert request.workloads() == []


def test_what_is_asked_comes_before_what_the_manifest_says():
    settings = BenchmarkSettings(rounds=9, goal_ttft_s=0.5, memory_over_mib=2, answer_over_s=3)
    request = BenchmarkRequest.of(settings, rounds=3, seed=None, suite="soak")
    assert (request.rounds, request.suite, request.seed) == (3, "soak", None)
    assert request.goals == Goals(ttft_s=0.5)
    assert request.limit == Limit(answer_over_s=3, memory_over_bytes=2 << 20)
    assert BenchmarkRequest.of(BenchmarkSettings()) == BenchmarkRequest()


def test_the_manifest_says_what_a_benchmark_does_that_is_not_told_otherwise():
    table = {"rounds": 7, "goal_tpot_s": 1, "rate_under_tokens_per_second": 2.5}
    settings = parse({"benchmark": table}, "test").benchmark
    assert settings == BenchmarkSettings(
        rounds=7, goal_tpot_s=1.0, rate_under_tokens_per_second=2.5
    )
