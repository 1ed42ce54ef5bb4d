"""Where replicas go, and what is said when they can not go anywhere or do not start."""

import asyncio
import re

import pytest

from orac_core import BackendError, ModelFileInvalid, ModelNotFound, ModelState
from tests.backends.driving import ask, load, raw, told, words
from tests.ray.clusters import DEMO, ROBOT, backend_on, llamacpp, python, replicas

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_model_goes_to_the_one_node_that_has_what_it_needs(backend, nodes):
    await load(backend, "arm")
    (replica,) = replicas("orac-arm")
    assert replica.raylet == nodes.raylet
    assert words(await ask(backend, raw("arm", "count 2"))) == "0 1 "
    await backend.unload("arm")


ONE_HOME = {"resources": {"arm": 0.01}}


def _no_place(folder):
    return {
        "submarine": python("model") | {"resources": {"submarine": 1.0}},
        "giant": python("model") | {"num_gpus": 4.0, "labels": {"room": "lab"}},
        "broken": python("broken"),
        "missing": llamacpp("no-such-model", DEMO),
        "spoilt": llamacpp("spoilt", folder, **ONE_HOME),
        "other": llamacpp(ROBOT, DEMO, checksum=f"sha256:{'0' * 64}", **ONE_HOME),
    }


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    """A folder with a model file that is cut."""
    folder = tmp_path_factory.mktemp("spoilt")
    (folder / "spoilt.gguf").write_bytes((DEMO / f"{ROBOT}.gguf").read_bytes()[:1000])
    return folder


FAILURES = {
    "submarine": (BackendError, "no node of the cluster has CPU 0.01, submarine 1: .*arm 1, board"),
    "giant": (BackendError, "no node of the cluster has CPU 0.01, GPU 4, label room=lab: "),
    "broken": (BackendError, "no such camera"),
    "missing": (ModelNotFound, "no-such-model.* on .* has none; .*correct `model` or `paths`"),
    "spoilt": (ModelFileInvalid, "spoilt"),
    "other": (ModelFileInvalid, "0000"),
}


async def test_what_can_not_start_says_why_and_leaves_no_application(nodes, spoilt):
    async with backend_on(nodes.address, _no_place(spoilt), prefix="failing") as backend:
        loads = [load(backend, name) for name in FAILURES]
        errors = await asyncio.gather(*loads, return_exceptions=True)
        for (name, (kind, says)), error in zip(FAILURES.items(), errors, strict=True):
            assert type(error) is kind, f"{name}: {error}"
            assert re.search(says, str(error)), str(error)
            assert (await told(backend, name)).state is ModelState.STOPPED
        found = (await backend.health()).details["replicas"]
        assert [app for app in found if app.startswith("failing-")] == []
