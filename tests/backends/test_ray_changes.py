"""Loads, changes and unloads of one model next to each other; the cluster is the test's own."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_backends._ray.spec import Inside, Spec
from orac_backends._ray.told import App, Cluster, Node
from orac_backends._ray.wire import Failure, packed, unpacked
from orac_backends.ray import RayModel, RaySettings, deployments
from orac_backends.ray.backend import RayBackend
from orac_backends.ray.bridge import Bridge
from orac_core import (
    BackendError,
    Host,
    LoadRequest,
    ModelFileInvalid,
    ModelFiles,
    ModelInfo,
    OracError,
)
from tests.backends.driving import load

APP = "orac-m"
BEFORE = Inside("python", LoadRequest("m", 256), pause_s=0.004)
LACKS = ModelFileInvalid(Path("/models/m.gguf"), "is another file")
MARK = f"RuntimeError: it <orac>{packed(Failure.of(LACKS)).hex()}</orac>"

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def quick():
    """Looks that follow each other at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deployments, "_LOOK_S", 0)
        yield


class Scripted(Bridge):
    """A bridge to a cluster where all takes moments: as Ray does, it deploys what is going anew.

    It says *message* of what it starts, and gives up after so many *attempts* where it fails.
    """

    def __init__(self, settings, folder, nodes=1, moments=3, message=""):
        super().__init__(settings, folder)
        self.nodes = tuple(Node(f"10.0.0.{n}", {"CPU": 8.0}) for n in range(nodes))
        self.moments, self.message = moments, message
        self.apps, self.inside, self.looks = {}, None, 0

    def start(self):
        """There is no process."""

    async def look(self, within_s=0.0):
        await self._moments()
        self.looks += 1
        return Cluster("2.60.0", self.nodes, dict(self.apps))

    async def ask(self, question, within_s=0.0, answer_s=None):
        await self._moments()
        return await getattr(self, f"_{question.operation}")(question)

    async def _compare(self, _):
        return packed([])

    async def _describe(self, _):
        return packed((self.inside.digest, self.inside.request, ModelInfo("m")))

    async def _deploy(self, question):
        self.inside = unpacked(question.body, Spec).inside
        self.apps[question.app] = App("DEPLOYING", self.message, {"STARTING": 1})
        asyncio.get_running_loop().create_task(self._settled(question.app))
        await self._moments()
        return b""

    async def _settled(self, app):
        for _ in range(10):
            await self._moments()
        if app in self.apps and not self.apps[app].going:
            failed = App("DEPLOY_FAILED", self.message)
            self.apps[app] = failed if self.message else App("RUNNING", "", {"RUNNING": 1})

    async def _delete(self, question):
        if question.app in self.apps:
            self.apps[question.app] = App("DELETING", "", {"STOPPING": 1})
            await self._moments()
            if self.apps[question.app].going:
                del self.apps[question.app]
        return b""

    async def _moments(self):
        for _ in range(self.moments):
            await asyncio.sleep(0)


@asynccontextmanager
async def opened(folder, **script):
    settings = RaySettings(models={"m": RayModel("python")})
    backend = RayBackend(settings, Host(ModelFiles.below([])), Scripted(settings, folder, **script))
    yield backend
    await backend.replicas.close()


def runs_already(backend):
    """Have the model run as an ORAC before this one left it."""
    backend.bridge.inside = BEFORE
    backend.bridge.apps[APP] = App("RUNNING", "", {"RUNNING": 1})


MOMENTS = st.integers(1, 150)
MESSAGES = st.sampled_from(["", "no such camera", MARK])


async def _unloaded_after(backend, moments):
    for _ in range(moments):
        await asyncio.sleep(0)
    await backend.unload("m")
    assert backend.bridge.apps == {}


async def _at_rest():
    """Wait until nothing of the test goes on but itself."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)


@given(MOMENTS, MESSAGES, st.booleans())
def test_an_unload_next_to_a_load_or_a_change_leaves_no_application(moments, message, there):
    async def both():
        async with opened(None, message=message) as backend:
            if there:
                runs_already(backend)
            loading = asyncio.create_task(load(backend, "m", context_length=512))
            await _unloaded_after(backend, moments)
            await asyncio.gather(loading, return_exceptions=True)
            await _at_rest()
            assert backend.bridge.apps == {}

    asyncio.run(both())


@given(MOMENTS, MESSAGES)
def test_an_unload_next_to_what_another_manifest_changes_leaves_no_application(moments, message):
    async def both():
        async with opened(None, message=message) as backend:
            runs_already(backend)
            await backend.models()
            await _unloaded_after(backend, moments)
            await _at_rest()
            assert backend.bridge.apps == {}

    asyncio.run(both())


@given(MOMENTS)
def test_a_load_after_an_unload_next_to_a_change_finds_its_model_there(moments):
    async def all_three():
        async with opened(None) as backend:
            runs_already(backend)
            changing = asyncio.create_task(load(backend, "m", context_length=512))
            await _unloaded_after(backend, moments)
            await load(backend, "m", context_length=1024)
            await asyncio.gather(changing, return_exceptions=True)
            await _at_rest()
            assert backend.bridge.apps[APP].status == "RUNNING"
            assert backend.bridge.inside.request.context_length == 1024

    asyncio.run(all_three())


@given(MOMENTS)
def test_a_load_that_is_closed_early_leaves_no_application(moments):
    async def closed():
        async with opened(None) as backend:
            loading = asyncio.create_task(load(backend, "m"))
            for _ in range(moments):
                await asyncio.sleep(0)
            loading.cancel()
            done = not isinstance(
                (await asyncio.gather(loading, return_exceptions=True))[0], BaseException
            )
            await _at_rest()
            assert (APP in backend.bridge.apps) == done

    asyncio.run(closed())


async def test_a_load_next_to_an_unload_says_what_to_do(tmp_path):
    async with opened(tmp_path) as backend:
        loading = asyncio.create_task(load(backend, "m"))
        while APP not in backend.bridge.apps:
            await asyncio.sleep(0)
        await backend.unload("m")
        with pytest.raises(BackendError, match="^orac-m was unloaded .*; load it again$"):
            await loading


async def test_what_the_only_node_lacks_is_told_after_the_first_attempt(tmp_path):
    async with opened(tmp_path, message=MARK) as backend:
        backend.bridge._settled = _never
        with pytest.raises(ModelFileInvalid, match="is another file"):
            await load(backend, "m")
        assert backend.bridge.apps == {}


@pytest.mark.parametrize(("nodes", "message"), [(2, MARK), (1, "no such camera")])
async def test_what_another_attempt_may_find_is_told_after_the_last_one(nodes, message, tmp_path):
    async with opened(tmp_path, nodes=nodes, message=message) as backend:
        with pytest.raises(OracError):
            await load(backend, "m")
        assert backend.bridge.looks > 3
        assert backend.bridge.apps == {}


async def test_what_is_still_said_of_the_replicas_before_does_not_end_a_change(tmp_path):
    async with opened(tmp_path) as backend:
        bridge = backend.bridge
        bridge.apps[APP] = App("DEPLOY_FAILED", MARK)
        deploy = bridge._deploy

        async def as_before(question):
            await deploy(question)
            bridge.apps[APP] = App("DEPLOYING", MARK, {"STARTING": 1})
            return b""

        bridge._deploy = as_before
        await load(backend, "m")
        assert bridge.apps[APP].status == "RUNNING"


async def _never(_):
    return
