"""A cluster of this machine alone behind `orac serve`: the page's commands, and HTTP."""

from urllib.parse import urlsplit

import psutil
import pytest

from orac_core import Plugins
from tests.backends.driving import runs
from tests.docs.test_docs import DEMO, check_commands, environment
from tests.docs.test_how_to_ray import BLOCKS, PAGE
from tests.processes import orac, serving
from tests.ray.clusters import ROBOT, eventually, opening, replicas
from tests.server.test_demo_process import Client, events

SHOWN = BLOCKS[0].text
MORE = """
[backends.cluster.models.robot]
kind = "llamacpp"
model = "{model}"
paths = ["{paths}"]
num_cpus = 0.1
parallel = 12
settings = {{ threads = 1 }}
[profiles.default.models]
general = {{ name = "robot", provider = "cluster" }}
"""
ASKED = {"prompt": "Move forward 1.5 meters"}
HEAD = "--gcs-address="
WHOLE = '{"action":"move","direction":"forward","meters":1.5}'


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def kept(home):
    return {"HOME": str(home), "ORAC_STATE_DIR": str(home / "state")}


@pytest.fixture(scope="module")
def server(home, kept):
    """ORAC with the manifest that the page shows, and another model."""
    assert "/models/gguf" in SHOWN
    ours = SHOWN.replace("/models/gguf", str(DEMO)).replace("\n\n", '\nprefix = "service"\n\n', 1)
    manifest = home / "orac.toml"
    manifest.write_text(ours + MORE.format(paths=DEMO, model=ROBOT))
    with serving("--manifest", manifest, environ=kept) as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    return Client(urlsplit(server.url).netloc)


def test_the_commands_print_what_the_page_shows(server, kept, home):
    check_commands(PAGE, environment(server.url, **kept), home)


async def test_the_house_lists_loads_asks_and_unloads_a_model_on_a_cluster(client, server):
    await eventually(lambda: _there(client))
    model = _robot(client)
    assert (model["instance"], model["kind"], model["state"]) == ("cluster", "ray", "stopped")
    status, loaded = client.json("POST", "/v1/models/robot/load", {})
    assert (status, loaded["state"]) == (200, "ready")
    model = _robot(client)
    assert (model["parallel"], model["requests"]["at_once"]) == (12, 12)
    status, answer = client.json("POST", "/v1/prompt", ASKED | {"model": "robot"})
    assert (status, answer["response"]) == (200, WHOLE)
    assert (answer["instance"], answer["finish_reason"]) == ("cluster", "stop")
    _, _, text = client.ask("POST", "/v1/prompt", ASKED | {"model": "general", "stream": True})
    *pieces, (last, done) = events(text)
    assert (last, done["role"]) == ("done", "general")
    assert "".join(data["text"] for _, data in pieces) == WHOLE
    shown = client.json("GET", "/v1/health")[1]["instances"]["cluster"]
    assert shown["version"].startswith("ray ")
    assert shown["details"]["replicas"] == {"service-robot": {"RUNNING": 1}}
    assert "robot" in orac("list", "--url", server.url).stdout
    status, unloaded = client.json("POST", "/v1/models/robot/unload", {})
    assert (status, unloaded["state"]) == (200, "stopped")
    await eventually(lambda: replicas("service-robot") == [])


async def _there(client):
    return _robot(client) is not None


def _robot(client):
    listed = client.json("GET", "/v1/models")[1]["data"]
    return next((it for it in listed if it["id"] == "robot"), None)


async def test_nobody_joins_that_cluster_without_its_token(server):
    serve = psutil.Process(server.process.pid)
    await eventually(lambda: _raylets(serve))
    words = _raylets(serve)[0].cmdline()
    (address,) = [it.removeprefix(HEAD) for it in words if it.startswith(HEAD)]
    kind, settings = Plugins.discover().settled("ray", {"address": address})
    async with opening(kind, settings) as backend:
        await eventually(lambda: _wants_a_token(backend, address))


async def _wants_a_token(backend, address):
    told = (await backend.health()).message or ""
    return f"({address}) is not there" in told and "RAY_AUTH_TOKEN" in told


async def test_a_service_that_is_killed_leaves_no_cluster_behind(server):
    serve = psutil.Process(server.process.pid)
    await eventually(lambda: _raylets(serve))
    started = serve.children(recursive=True)
    server.process.kill()
    await eventually(lambda: not any(runs(each.pid) for each in started))


def _raylets(serve):
    return [each for each in serve.children(recursive=True) if each.name() == "raylet"]
