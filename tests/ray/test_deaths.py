"""Replicas and nodes that die while they answer: nothing is lost in silence, nothing told twice."""

import asyncio
import os
import signal

import pytest
from attrs import define, field

from orac_core import BackendError
from tests.backends.driving import ask, load, raw, told, words
from tests.ray.clusters import counted, eventually, noted, replicas, running

pytestmark = pytest.mark.asyncio(loop_scope="session")

APP = "orac-pair"


@define(eq=False)
class Reader:
    """Somebody who reads an answer, and keeps what came."""

    prompt: str
    texts: list[str] = field(factory=list)
    ends: int = 0
    error: Exception | None = None

    async def read(self, backend):
        try:
            async for piece in backend.generate(raw("pair", self.prompt)):
                self.texts += [piece.text] if piece.text else []
                self.ends += piece.done
        except BackendError as error:
            self.error = error


async def _both_run(backend, but=None):
    """Whether two replicas run, none of them *but*: Ray takes a while to see that one is gone."""
    pids = [each.pid for each in replicas(APP)]
    return len(pids) == 2 and but not in pids and await running(backend, APP) == 2


def _all_begun(folder, name):
    return sum(how == "begun" and prompt.endswith(name) for _, how, prompt in noted(folder)) == 24


async def _cut_off(backend, folder, name, kill):
    """Have 24 answers made, half of them begun to be told; return them when *kill* has been."""
    await eventually(lambda: _both_run(backend))
    prompts = [f"{order} {name}" for order in ("hold", "late") for _ in range(12)]
    readers = [Reader(prompt) for prompt in prompts]
    reading = [asyncio.create_task(each.read(backend)) for each in readers]
    await eventually(lambda: _all_begun(folder, name))
    await eventually(lambda: all(it.texts for it in readers if it.prompt[:4] == "hold"))
    dead = await asyncio.to_thread(kill)
    (folder / name).touch()
    await asyncio.gather(*reading)
    return readers, dead


def _nothing_is_lost(readers, folder, name, dead):
    hit = {how: counted(folder, "begun", f"{how} {name}")[dead] for how in ("hold", "late")}
    assert hit["hold"] + hit["late"] > 0
    cut = [each for each in readers if each.error is not None]
    assert len(cut) == hit["hold"]
    for each in cut:
        assert (each.prompt, each.texts, each.ends) == (f"hold {name}", ["begun "], 0)
        assert "is not whole: ask again" in str(each.error)
    for each in readers:
        assert each in cut or (each.texts, each.ends) == (["begun ", "ended"], 1)


async def test_a_replica_that_is_killed_loses_no_answer_in_silence(backend, notes):
    await load(backend, "pair")
    victim = replicas(APP)[0].pid

    def kill():
        os.kill(victim, signal.SIGKILL)
        return victim

    readers, dead = await _cut_off(backend, notes / "pair", "replica", kill)
    _nothing_is_lost(readers, notes / "pair", "replica", dead)
    await eventually(lambda: _both_run(backend, but=victim))
    assert (await backend.health()).warnings == ()


async def test_a_node_that_dies_loses_no_answer_in_silence_and_its_replica_comes_back(
    backend, nodes, notes
):
    await load(backend, "pair")
    await eventually(lambda: _both_run(backend))
    (victim,) = [each.pid for each in replicas(APP) if each.raylet == nodes.raylet]

    def kill():
        nodes.kill()
        return victim

    readers, dead = await _cut_off(backend, notes / "pair", "node", kill)
    _nothing_is_lost(readers, notes / "pair", "node", dead)
    assert words(await ask(backend, raw("pair", "count 2"))) == "0 1 "
    await eventually(lambda: _says_one_is_missing(backend))
    nodes.add()
    await eventually(lambda: _both_run(backend, but=victim))
    assert [each for each in replicas(APP) if each.raylet == nodes.raylet]
    assert (await told(backend, "pair")).warning is None


async def _says_one_is_missing(backend):
    warning = (await told(backend, "pair")).warning or ""
    return warning.startswith("1 of 2 replicas of pair run")
