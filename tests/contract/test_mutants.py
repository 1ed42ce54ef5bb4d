"""Each promise catches a backend that breaks it, and lets one pass that keeps all."""

from contextlib import asynccontextmanager

import pytest

from orac_core.testing import PROMISES, BackendContract, Subject, judge
from tests.contract.mutants import MUTANTS, Sound


def making(cls):
    @asynccontextmanager
    async def make():
        backend = cls()

        async def crash():
            backend.crash()

        yield Subject(backend, "small", embedding_model="small", end_engine=crash)

    return make


class TestSound(BackendContract):
    @pytest.fixture
    def make_backend(self):
        return making(Sound)


def test_there_is_a_mutant_for_each_promise():
    assert set(MUTANTS) == {each.id for each in PROMISES}


@pytest.mark.parametrize("promise", PROMISES, ids=[each.id for each in PROMISES])
async def test_a_mutant_is_caught_by_the_promise_that_it_breaks(promise):
    verdict = await judge(promise, making(MUTANTS[promise.id]), within_s=3)
    assert verdict.outcome == "broken"
    assert verdict.seen in str(verdict)
    assert promise.hint in str(verdict)


async def test_what_hangs_breaks_a_promise_in_the_end():
    promise = next(each for each in PROMISES if each.id == "generate-listens")
    verdict = await judge(promise, making(MUTANTS[promise.id]), within_s=0.05)
    assert verdict.seen == "no end within 0.05 s"
