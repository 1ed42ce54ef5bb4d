"""The bridge without a cluster: what it tells is not older than a change, nor too long."""

import asyncio
import threading
import warnings

import pytest

from orac_backends._ray import frames
from orac_backends._ray.spec import Inside, Spec
from orac_backends._ray.told import App, Cluster
from orac_backends._ray.wire import Failure, Question, packed, unpacked
from orac_core import BackendError, LoadRequest
from tests.waiting import until


@pytest.fixture
def module():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Ray imports
        from orac_backends._ray import bridge  # noqa: PLC0415 - where Ray is not, nothing is tested
    return bridge


async def test_a_look_that_began_before_a_deployment_does_not_tell_of_it_afterwards(
    module, monkeypatch
):
    looking, go_on, apps = threading.Event(), threading.Event(), dict[str, App]()

    def look():
        seen = Cluster(apps=dict(apps))
        looking.set()
        assert go_on.wait(10.0)
        return seen

    monkeypatch.setattr(module.cluster, "look", look)
    monkeypatch.setattr(
        module.cluster, "deploy", lambda spec: apps.update({spec.app: App("DEPLOYING")})
    )
    bridge = module.Bridge(1.0)
    first = asyncio.create_task(bridge._look(Question("look")))
    assert await asyncio.to_thread(looking.wait, 10.0)
    await bridge._deploy(
        Question("deploy", "it", packed(Spec("it", Inside("python", LoadRequest("it")))))
    )
    second = asyncio.create_task(bridge._look(Question("look")))
    await asyncio.sleep(0)
    go_on.set()
    for answer in await asyncio.gather(first, second):
        assert "it" in unpacked(answer[1:], Cluster).apps


async def test_looks_that_changes_overtake_again_and_again_end_in_time(module, monkeypatch):
    bridge = module.Bridge(1.0)
    monkeypatch.setattr(module, "_CALL_S", 0.1)
    monkeypatch.setattr(module.cluster, "look", lambda: bridge._changed() or Cluster())
    async with asyncio.timeout(5.0):
        with pytest.raises(BackendError, match="the cluster did not answer within 0.1 s"):
            await bridge._look(Question("look"))


async def test_a_deployment_whose_asker_has_left_is_over_before_the_model_is_deleted(
    module, monkeypatch
):
    deploying, go_on, apps = threading.Event(), threading.Event(), dict[str, App]()

    def deploy(spec):
        deploying.set()
        assert go_on.wait(10.0)
        apps[spec.app] = App("DEPLOYING")

    monkeypatch.setattr(module.cluster, "deploy", deploy)
    monkeypatch.setattr(module.cluster, "delete", lambda app: apps.pop(app, None))
    monkeypatch.setattr(module.cluster, "status", lambda app: app in apps or None)
    bridge = module.Bridge(1.0)
    spec = packed(Spec("it", Inside("python", LoadRequest("it"))))
    asked = asyncio.create_task(bridge._deploy(Question("deploy", "it", spec)))
    assert await asyncio.to_thread(deploying.wait, 10.0)
    asked.cancel()
    await asyncio.wait([asked])
    deleting = asyncio.create_task(bridge._delete(Question("delete", "it")))
    await asyncio.sleep(0)
    go_on.set()
    async with asyncio.timeout(10.0):
        await deleting
    assert apps == {}


async def test_a_deployment_that_took_too_long_is_over_before_the_model_is_deleted(
    module, monkeypatch
):
    go_on, apps, done = threading.Event(), dict[str, App](), list[str]()

    def deploy(spec):
        assert go_on.wait(10.0)
        apps[spec.app] = App("DEPLOYING")
        done.append("deploy")

    def delete(app):
        apps.pop(app, None)
        done.append("delete")

    monkeypatch.setattr(module, "_CALL_S", 0.05)
    monkeypatch.setattr(module.cluster, "deploy", deploy)
    monkeypatch.setattr(module.cluster, "delete", delete)
    monkeypatch.setattr(module.cluster, "status", lambda app: app in apps or None)
    bridge = module.Bridge(1.0)
    spec = packed(Spec("it", Inside("python", LoadRequest("it"))))
    with pytest.raises(BackendError, match=r"did not answer within 0.05 s; `ray status`"):
        await bridge._deploy(Question("deploy", "it", spec))
    monkeypatch.setattr(module, "_CALL_S", 10.0)
    deleting = asyncio.create_task(bridge._delete(Question("delete", "it")))
    await until(lambda: bool(bridge._changing))
    await asyncio.get_running_loop().run_in_executor(bridge._threads, lambda: None)
    go_on.set()
    async with asyncio.timeout(10.0):
        await deleting
    assert (done, apps) == (["deploy", "delete"], {})


async def test_an_answer_too_long_to_read_is_told_as_an_error(module, tmp_path, monkeypatch):
    apps = {f"it{n}": App("RUNNING") for n in range(100)}
    monkeypatch.setattr(module.cluster, "look", lambda: Cluster(apps=apps))
    monkeypatch.setattr(frames, "_MOST", 1000)
    async with await asyncio.start_unix_server(module.Bridge(1.0).serve, tmp_path / "it.sock"):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "it.sock")
        await frames.write_frame(writer, packed(Question("look")))
        async with asyncio.timeout(5.0):
            message = await frames.read_frame(reader)
        assert "can not cross to ORAC" in unpacked(message[1:], Failure).message
        writer.close()
        await writer.wait_closed()


class Busy:
    """A handle to replicas none of which takes anything."""

    def __init__(self):
        self.given_up = 0

    def options(self, **_):
        return self

    def __getattr__(self, _):
        return self

    def remote(self, _):
        return self

    async def __anext__(self):
        await asyncio.Event().wait()

    def cancel(self):
        self.given_up += 1


@pytest.mark.parametrize("operation", ["generate", "embed", "describe"])
async def test_what_no_replica_takes_in_time_is_an_error_and_is_given_up(module, operation):
    bridge, busy = module.Bridge(0.05), Busy()
    bridge._handles["it"] = busy
    (message,) = [it async for it in bridge._messages(Question(operation, "it"))]
    failure = unpacked(message[1:], Failure)
    assert failure.kind == "BackendUnavailable"
    assert "no replica took it within 0.05 s" in failure.message
    assert busy.given_up == 1
