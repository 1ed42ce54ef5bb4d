"""A checkpoint behind `orac serve`, asked over HTTP."""

import json
import os
import signal
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from tests.processes import children, serving
from tests.server.test_demo_process import Client, events
from tests.transformers.conftest import MODEL

MANIFEST = """
[models]
canaries = false
[backends.local]
kind = "llamacpp"
[backends.slow]
kind = "transformers"
paths = ["{paths}"]
device = "cpu"
threads = 1
[profiles.default.models]
general = {{ name = "{model}", provider = "slow" }}
"""


@pytest.fixture(scope="module")
def server(checkpoints, tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    manifest = folder / "orac.toml"
    manifest.write_text(MANIFEST.format(paths=checkpoints, model=MODEL))
    kept = {"HOME": str(folder), "ORAC_STATE_DIR": str(folder / "state")}
    with serving("--manifest", manifest, environ=kept) as running:
        yield running


@pytest.fixture
def client(server):
    return Client(urlsplit(server.url).netloc)


def _asking(url, body):
    return Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})


def test_a_role_is_served_and_the_health_names_the_versions(client):
    body = {"model": "general", "prompt": "hello", "options": {"max_tokens": 5, "temperature": 0}}
    status, answer = client.json("POST", "/v1/prompt", body)
    assert status == 200
    assert (answer["model"], answer["instance"], answer["role"]) == (MODEL, "slow", "general")
    assert (len(answer["response"]), answer["finish_reason"]) == (5, "length")
    assert answer["usage"]["completion_tokens"] == 5
    assert answer["timings"]["decode_tokens_per_second"] > 0
    health = client.json("GET", "/v1/health")[1]
    assert "torch" in health["instances"]["slow"]["version"]


def test_clients_of_openai_are_served_with_streams(client):
    messages = [{"role": "user", "content": "hello"}]
    asked = {"model": f"slow/{MODEL}", "messages": messages, "max_tokens": 4, "temperature": 0}
    whole = client.json("POST", "/v1/chat/completions", asked)[1]
    _, _, text = client.ask("POST", "/v1/chat/completions", asked | {"stream": True})
    *frames, end = [
        line.removeprefix("data: ") for line in text.splitlines() if line[:5] == "data:"
    ]
    pieces = [json.loads(frame)["choices"][0]["delta"].get("content") or "" for frame in frames]
    assert "".join(pieces) == whole["choices"][0]["message"]["content"]
    assert end == "[DONE]"


def test_it_is_listed_and_planned_like_any_model(client):
    listed = client.json("GET", "/v1/models")[1]["data"]
    model = next(it for it in listed if it["id"] == MODEL)
    assert (model["kind"], model["architecture"], model["quantization"]) == (
        *("transformers", "llama", "F32"),
    )
    assert model["capabilities"] == ["completion", "chat"]
    status, plan = client.json("POST", "/v1/plan", {"model": MODEL})
    assert status == 200
    assert plan["fits"]


def test_what_can_not_be_had_is_refused_and_a_long_prompt_has_its_code(client):
    status, told = client.json(
        "POST", "/v1/prompt", {"model": MODEL, "prompt": "a", "format": "json"}
    )
    assert (status, told["error"]["details"][0]["path"]) == (400, "format")
    status, told = client.json("POST", "/v1/prompt", {"model": MODEL, "prompt": "x" * 5000})
    assert (status, told["error"]["code"]) == (400, "context_length_exceeded")


def test_a_worker_killed_in_mid_stream_is_an_error_and_the_next_prompt_loads_it_again(
    client, server
):
    client.json("POST", f"/v1/models/{MODEL}/load", {})
    (worker,) = children(server.process.pid)
    body = {"model": MODEL, "prompt": "hello", "stream": True, "options": {"temperature": 0}}
    with urlopen(_asking(f"{server.url}/v1/prompt", body), timeout=60) as answer:
        begin = answer.readline()
        os.kill(worker, signal.SIGKILL)
        *_, (last, told) = events((begin + answer.read()).decode())
    assert (last, told["error"]["code"]) == ("error", "backend_unavailable")
    asked = {"model": MODEL, "prompt": "hello", "options": {"max_tokens": 2}}
    assert client.json("POST", "/v1/prompt", asked)[0] == 200
    status, unloaded = client.json("POST", f"/v1/models/{MODEL}/unload", {})
    assert (status, unloaded["state"]) == (200, "stopped")
    assert children(server.process.pid) == set()
