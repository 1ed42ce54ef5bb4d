"""A benchmark of the real llama.cpp."""

from pathlib import Path

import pytest

import orac_core
from orac_core import Manifest
from orac_core.benchmark.request import BenchmarkRequest
from orac_core.benchmark.run import Runner
from orac_core.files.residency import resident_ratio
from tests.core.benchmark.bench import outcome
from tests.tiny_models import write


@pytest.fixture
async def manager(tmp_path):
    write(tmp_path, "tiny-qwen3-0.6b")
    write(tmp_path, "tiny-pythia")
    async with orac_core.open(Manifest(), models_dir=tmp_path, environ={}) as opened:
        yield opened


async def test_a_real_engine_is_measured_from_its_cold_load_to_the_last_canary(manager, tmp_path):
    request = BenchmarkRequest(
        ("tiny-qwen3-0.6b", "tiny-pythia"),
        prompts=("Which way?",),
        presets=("pp128+tg16", "pp32+tg16@d128", "pp32+tg8c2"),
        rounds=5,
        max_tokens=16,
        loads=True,
        verify=True,
        seed=7,  # of some texts a random model makes nothing but tokens without a letter
    )
    report = await outcome(Runner(manager), request)
    assert [it.error for it in report.results] == [None, None]
    for result in report.results:
        assert [it.workload.name for it in result.measured] == [
            "prompts",
            "pp128+tg16",
            "pp32+tg16@d128",
            "pp32+tg8c2",
        ]
        prompts, preset, deep, together = result.measured
        assert (preset.n, deep.n, together.n, prompts.failures) == (5, 5, 10, 0)
        assert preset.prompt_tokens == pytest.approx(128, rel=0.15)
        assert preset.completion_tokens == 16
        assert deep.prompt_tokens == pytest.approx(160, rel=0.15)
        check_first_pieces(report, result.subject.model, preset)
        assert result.memory.peak_bytes >= result.memory.bytes > 0
        assert result.subject.engine_version
        check_loads(result.loads, Path(tmp_path / f"{result.subject.model[6:]}.gguf"))
    checks = {it.name: it.passed for it in report.verification.checks}
    exact = ("prompts not cached", "tokens counted by the engine", "same length", "all answered")
    assert {name: checks[name] for name in exact} == dict.fromkeys(exact, True)
    deep_ones = [it for it in report.samples if it.round and "@d" in it.workload]
    assert all(it.cached_tokens >= 100 for it in deep_ones)


def check_first_pieces(report, model, preset):
    asked = (model, preset.workload.name)
    answers = [it for it in report.samples if it.round and (it.model, it.workload) == asked]
    shown = [it for it in answers if it.ttft_s is not None]
    assert all(0 < it.ttft_s < it.elapsed_s for it in shown)
    assert (len(answers), preset.ttft_s.n) == (5, len(shown))


def check_loads(loads, file):
    cold, warm = loads
    assert 0 < cold.verify_s < cold.seconds
    assert resident_ratio([file]) == warm.cached_ratio == 1.0
    assert (cold.cache, warm.cache) in {("cold", "warm"), ("warm", "warm")}
