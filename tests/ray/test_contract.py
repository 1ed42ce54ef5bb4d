"""The kind ``ray`` keeps every promise, with a process and with objects in its replicas."""

import os
import signal
from contextlib import asynccontextmanager

import pytest

from orac_core.testing import PROMISES, Subject, judge
from tests.ray.clusters import replicas

pytestmark = pytest.mark.asyncio(loop_scope="session")

APPS = {"robot": "orac-robot", "it": "orac-it"}


def subject(backend, model):
    """Return what opens a subject: the bridge to the cluster is the same for all promises.

    Starting one takes seconds. A model that one promise has left loaded stays so for the next,
    unless that is about loading.
    """

    @asynccontextmanager
    async def make():
        async def crash():
            for replica in replicas(APPS[model]):
                os.kill(replica.pid, signal.SIGKILL)

        embedding = model if model == "it" else None
        yield Subject(backend, model, embedding, end_engine=crash)

    return make


@pytest.mark.parametrize("model", APPS)
@pytest.mark.parametrize("promise", PROMISES, ids=[each.id for each in PROMISES])
async def test_it_keeps_its_promise(backend, model, promise):
    if promise.id.startswith(("load", "unload")):
        await backend.unload(model)
    verdict = await judge(promise, subject(backend, model))
    assert verdict.outcome != "broken", str(verdict)
