"""What replicas say of their model, without a cluster: nobody waits for one that is busy."""

import asyncio

from orac_backends._ray.told import App, Cluster
from orac_backends._ray.wire import packed
from orac_backends.ray import RayModel, RaySettings
from orac_backends.ray import replicas as module
from orac_backends.ray.backend import RayBackend
from orac_backends.ray.bridge import Bridge
from orac_backends.ray.replicas import Replicas
from orac_core import Host, LoadRequest, ModelFiles, ModelInfo, ModelState

ANSWER = packed(("digest", LoadRequest("m"), ModelInfo("m", context_length=7)))


class Busy(Bridge):
    """A bridge to replicas that answer only when they are free."""

    def __init__(self, settings, folder):
        super().__init__(settings, folder)
        self.free = asyncio.Event()

    async def ask(self, question, within_s=0.0, answer_s=None):
        await self.free.wait()
        return ANSWER

    async def look(self, within_s=0.0):
        return Cluster(apps={f"orac-m{n}": App("RUNNING", "", {"RUNNING": 1}) for n in range(20)})


async def test_what_a_busy_replica_said_before_is_told_at_once_and_then_what_it_says(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "FRESH_S", 0.0)
    bridge = Busy(RaySettings(), tmp_path)
    replicas = Replicas(bridge)
    bridge.free.set()
    first = await replicas.told("it")
    bridge.free.clear()
    async with asyncio.timeout(0.5):
        assert await replicas.told("it") is first
    bridge.free.set()
    await asyncio.wait(replicas._asking.values())
    assert replicas._told["it"].at > first.at
    await replicas.close()


async def test_a_list_of_many_busy_models_takes_no_longer_than_that_of_one(tmp_path):
    settings = RaySettings(models={f"m{n}": RayModel("python") for n in range(20)})
    bridge = Busy(settings, tmp_path)
    backend = RayBackend(settings, Host(ModelFiles.below([])), bridge)
    async with asyncio.timeout(5.0):
        infos = await backend.models()
    assert {info.state for info in infos} == {ModelState.READY}
    await backend.close()
    assert not backend.replicas._asking
