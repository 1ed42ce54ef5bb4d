"""The clinic on the real llama.cpp, and what disturbs the measuring of a model."""

import asyncio
from contextlib import aclosing

import pytest

import orac_core
from orac_core import BackendError, LoadRequest, StateConflict
from orac_core.doctor import Diagnosis, Report, patient
from orac_core.manifest import parse
from orac_core.serving.bed import TRIES, Bed
from orac_core.serving.ward import Ward
from tests.scripted import plugins
from tests.server.slow_board import USUAL, SlowBoard
from tests.tiny_models import write

TINY = "tiny-qwen3-0.6b"
WITHOUT_CANARIES = {"models": {"canaries": False}}


@pytest.fixture
async def tiny(tmp_path):
    """A manager of the real llama.cpp with one tiny model, which is loaded."""
    write(tmp_path, TINY)
    kinds = {"backends": {"local": {"kind": "llamacpp", "threads": 1}}}
    manifest = parse({**kinds, **WITHOUT_CANARIES}, "test")
    async with orac_core.open(manifest, models_dir=tmp_path, environ={}) as manager:
        await manager.load(LoadRequest(TINY, context_length=256))
        yield manager


@pytest.fixture
def board():
    return SlowBoard()


@pytest.fixture
async def bed(board):
    """The model of a scripted backend, in the hands of the doctor."""
    manifest = parse({"backends": {"fake": {"kind": "scripted"}}, **WITHOUT_CANARIES}, "test")
    async with orac_core.open(manifest, plugins=plugins(board), environ={}) as manager:
        await manager.load(LoadRequest("small"))
        fleet = manager._fleet
        yield Bed(fleet, fleet.slots["fake", "small"], manager._stages)


async def test_a_healthy_model_of_llama_cpp_is_found_healthy(tiny):
    witness = tiny.watch.witness(("local", TINY))
    rates = [(await tiny.diagnose(TINY)).tokens_per_second for _ in range(5)]
    # Whatever else runs on the machine of a test slows it down: a tenth of that is well, too.
    witness.baseline = tuple(rate / 10 for rate in rates)
    found = await tiny.diagnose(TINY)
    assert (found.healthy, found.findings) == (True, ())
    assert found.tokens_per_second > 0
    assert found.baseline_tokens_per_second == pytest.approx(sorted(rates)[2] / 10)


async def test_an_experiment_on_llama_cpp_leaves_the_model_as_it_was(tiny, monkeypatch):
    monkeypatch.setattr(patient, "BACK_S", 0.2)
    monkeypatch.setattr(patient, "LOOK_S", 0.05)
    first, *_, report = [each async for each in tiny.examine(TINY, cycles=1)]
    assert isinstance(first, Diagnosis)
    assert isinstance(report, Report)
    assert (report.ended, report.trouble) == ("completed", None)
    done = report.steps[:5]  # the fifth gives back the cache of the file, which ORAC knows
    assert [(each.error, len(each.rates)) for each in done] == [(None, 5)] * 5
    model = await tiny.find(TINY)
    assert (model.info.state, model.info.loaded.context_length) == ("ready", 256)


async def test_an_examination_that_is_closed_early_frees_the_model(tiny):
    async with aclosing(tiny.examine(TINY)) as steps:
        await anext(steps)
        with pytest.raises(StateConflict, match="is being examined"):
            await tiny.diagnose(TINY)
    assert (await tiny.diagnose(TINY)).tokens_per_second > 0


async def test_a_canary_beside_which_something_else_is_answered_is_asked_for_again(bed, board):
    gate = board.hold("word 3")
    asking = asyncio.create_task(bed.canary())
    await board.reached["word 3"].wait()
    with bed.fleet.watch.answering():
        gate.set()
    assert await asking == USUAL
    assert board.count("generate") == 2


async def test_where_something_else_is_answered_all_the_time_that_is_an_error(bed, board):
    with bed.fleet.watch.answering(), pytest.raises(StateConflict, match="when it is quiet"):
        await bed.canary()
    assert board.count("generate") == TRIES


async def test_an_answer_too_short_to_be_measured_is_an_error(bed, board):
    board.words = ("word ",) * 9
    with pytest.raises(BackendError, match="before 16 tokens"):
        await bed.canary()


async def test_what_is_known_around_canaries_is_of_their_time(bed):
    assert bed._since is None
    await bed.canary()
    began = bed._since
    await bed.canary()
    assert bed._since == began
    assert (await bed.snapshot()).engine_version == "1"
    assert bed._since is None


async def test_a_model_that_another_program_loaded_is_loaded_again_with_its_context(bed, board):
    bed.slot.asked = None
    again = Bed(bed.fleet, bed.slot, bed.bring)
    assert (again.found.context_length, again.found.gpu_layers) == (512, None)


def test_one_model_at_a_time_is_examined_and_the_place_is_free_afterwards():
    ward, small, large = Ward(), ("local", "small"), ("local", "large")
    with pytest.raises(KeyError), ward.taken(small):
        ward.refuse(large)
        with pytest.raises(StateConflict, match="local/small is being examined") as refused:
            ward.refuse(small)
        assert refused.value.retry_after_s == 1
        with pytest.raises(StateConflict, match="local/small"), ward.taken(large):
            pass
        assert ward.patient == small
        raise KeyError
    assert ward.patient is None
    ward.refuse(small)
