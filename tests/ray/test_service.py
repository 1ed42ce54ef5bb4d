"""A cluster of this machine alone behind `orac serve`, asked over HTTP."""

from urllib.parse import urlsplit

import psutil
import pytest

from tests.backends.driving import runs
from tests.processes import orac, serving
from tests.ray.clusters import DEMO, ROBOT, eventually, replicas
from tests.server.test_demo_process import Client, events

MANIFEST = """
[models]
canaries = false
[backends.far]
kind = "ray"
prefix = "service"
[backends.far.models.robot]
kind = "llamacpp"
model = "{model}"
paths = ["{paths}"]
num_cpus = 0.1
settings = {{ threads = 1 }}
[profiles.default.models]
general = {{ name = "robot", provider = "far" }}
"""
ASKED = {"prompt": "Move forward 1.5 meters"}
WHOLE = '{"action":"move","direction":"forward","meters":1.5}'


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    manifest = folder / "orac.toml"
    manifest.write_text(MANIFEST.format(paths=DEMO, model=ROBOT))
    kept = {"HOME": str(folder), "ORAC_STATE_DIR": str(folder / "state")}
    with serving("--manifest", manifest, environ=kept) as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    return Client(urlsplit(server.url).netloc)


async def test_the_house_lists_loads_asks_and_unloads_a_model_on_a_cluster(client, server):
    await eventually(lambda: _there(client))
    listed = client.json("GET", "/v1/models")[1]["data"]
    (model,) = [it for it in listed if it["id"] == "robot"]
    assert (model["instance"], model["kind"], model["state"]) == ("far", "ray", "stopped")
    status, loaded = client.json("POST", "/v1/models/robot/load", {})
    assert (status, loaded["state"]) == (200, "ready")
    status, answer = client.json("POST", "/v1/prompt", ASKED | {"model": "robot"})
    assert (status, answer["response"]) == (200, WHOLE)
    assert (answer["instance"], answer["finish_reason"]) == ("far", "stop")
    _, _, text = client.ask("POST", "/v1/prompt", ASKED | {"model": "general", "stream": True})
    *pieces, (last, done) = events(text)
    assert (last, done["role"]) == ("done", "general")
    assert "".join(data["text"] for _, data in pieces) == WHOLE
    shown = client.json("GET", "/v1/health")[1]["instances"]["far"]
    assert shown["version"].startswith("ray ")
    assert shown["details"]["replicas"] == {"service-robot": {"RUNNING": 1}}
    assert "robot" in orac("list", "--url", server.url).stdout
    status, unloaded = client.json("POST", "/v1/models/robot/unload", {})
    assert (status, unloaded["state"]) == (200, "stopped")
    await eventually(lambda: replicas("service-robot") == [])


async def _there(client):
    return "robot" in [it["id"] for it in client.json("GET", "/v1/models")[1]["data"]]


async def test_a_service_that_is_killed_leaves_no_cluster_behind(server):
    started = psutil.Process(server.process.pid).children(recursive=True)
    assert "raylet" in [each.name() for each in started]
    server.process.kill()
    await eventually(lambda: not any(runs(each.pid) for each in started))
