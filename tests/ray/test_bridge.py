"""The process between ORAC and the cluster: what happens when it, or the cluster, is not there."""

import asyncio
import socket
import sys

import psutil
import pytest

from orac_core import BackendUnavailable, ModelState, OracError, Plugins
from tests.backends.driving import ask, load, raw, runs, told, words
from tests.ray.clusters import backend_on, counted, eventually, opening, python, running

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _bridge(backend):
    """Return the process that is the driver of the cluster, the child of what keeps it."""
    (bridge,) = psutil.Process(backend.bridge._process.pid).children()
    return bridge


def _started_by(backend):
    """Return the processes that a backend has started, and that they have."""
    keeper = psutil.Process(backend.bridge._process.pid)
    return [keeper, *keeper.children(recursive=True)]


async def _answers(backend, model="it"):
    try:
        return words(await ask(backend, raw(model, "count 2"))) == "0 1 "
    except OracError:
        return False


async def test_a_bridge_that_is_killed_is_started_again_and_the_replicas_answer_on(backend, notes):
    await load(backend, "few")
    bridge, before = _bridge(backend), counted(notes / "few", "begun", "hold")
    reading = asyncio.create_task(ask(backend, raw("few", "hold never")))
    await eventually(lambda: counted(notes / "few", "begun", "hold") != before)
    bridge.kill()
    with pytest.raises(BackendUnavailable, match="the bridge to Ray .* is not there"):
        await reading
    await eventually(lambda: _answers(backend, "few"))
    assert await running(backend, "orac-few") == 1
    assert _bridge(backend).pid != bridge.pid


async def test_a_cluster_of_this_machine_alone_ends_with_its_bridge_and_with_the_backend(
    backend, notes, tmp_path
):
    models = {"it": python("scribe", folder=str(tmp_path))}
    async with backend_on(None, models, prefix="alone") as alone:
        await load(alone, "it")
        assert await _answers(alone)
        assert await _answers(backend, "few")  # two backends of this kind are two drivers
        first = _started_by(alone)
        assert {"raylet", "gcs_server"} <= {each.name() for each in first}
        _bridge(alone).kill()
        await eventually(lambda: not any(runs(each.pid) for each in first))
        await eventually(lambda: _usable(alone))
        assert (await told(alone, "it")).state is ModelState.STOPPED
        await load(alone, "it")
        assert await _answers(alone)
        second = _started_by(alone)
        assert {"raylet", "gcs_server"} <= {each.name() for each in second}
    await eventually(lambda: not any(runs(each.pid) for each in second))


async def _usable(backend):
    return (await backend.health()).usable


async def test_health_says_that_it_is_joining_before_who_asks_gives_up():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        table = {"address": f"127.0.0.1:{mute.getsockname()[1]}"}
        kind, settings = Plugins.discover().settled("ray", table)
        async with opening(kind, settings) as backend, asyncio.timeout(2.0):
            health = await backend.health()
    assert "is still being connected to" in health.message


async def test_a_cluster_that_is_not_there_is_told_with_its_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    plugins = Plugins.discover()
    table = {"address": address, "models": {"it": python("model")}}
    kind, settings = plugins.settled("ray", table)
    async with opening(kind, settings) as backend:
        await eventually(lambda: _tells(backend, address))
        assert (await backend.health()).usable is False
        for asked in (load(backend, "it"), ask(backend, raw("it", "count 1"))):
            with pytest.raises(BackendUnavailable, match=address):
                await asked


async def _tells(backend, address):
    told = (await backend.health()).message or ""
    return f"the bridge to Ray ({address}) is not there" in told and "nothing answers" in told


async def test_where_ray_is_not_installed_the_line_that_installs_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    plugins = Plugins.discover()
    kind, settings = plugins.settled("ray", {"models": {"it": python("model")}})
    async with opening(kind, settings) as backend:
        told = await backend.health()
        assert (told.usable, "`pip install 'orac[ray]'`" in told.message) == (False, True)
        with pytest.raises(BackendUnavailable, match="pip install 'orac.ray.'"):
            await load(backend, "it")
