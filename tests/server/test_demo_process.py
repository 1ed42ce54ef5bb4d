"""The installed `orac serve --demo`, started as a process and driven over HTTP from outside."""

import importlib
import json
import sys
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from attrs import frozen

from tests.processes import serving

ROOT = Path(__file__).resolve().parents[2]
UNSEEN = 1000


@frozen
class Client:
    """Asks a server, one connection for each request, with nothing but the standard library."""

    netloc: str

    def ask(self, method: str, path: str, body=None):
        connection = HTTPConnection(self.netloc, timeout=60)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def json(self, method: str, path: str, body=None):
        status, _, text = self.ask(method, path, body)
        return status, json.loads(text)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = str(tmp_path_factory.mktemp("home"))
    with serving("--demo", environ={"HOME": home}) as running:
        yield Client(urlsplit(running.url).netloc)


def events(stream: str) -> list[tuple[str, dict]]:
    """Return the name and the data of each event of a whole stream."""
    found = []
    for frame in stream.split("\n\n"):
        lines = [line for line in frame.splitlines() if not line.startswith(":")]
        fields = dict(line.split(": ", 1) for line in lines)
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def test_it_is_alive_and_ready(server):
    assert server.ask("GET", "/v1/health/live")[0] == 200
    assert server.ask("GET", "/v1/health/ready")[0] == 200


def test_it_lists_the_demo_model_with_what_its_header_says(server):
    status, listing = server.json("GET", "/v1/models")
    assert (status, listing["object"]) == (200, "list")
    model = next(model for model in listing["data"] if model["id"] == "orac-robot")
    assert (model["architecture"], model["instance"], model["kind"]) == (
        *("llama", "local", "llamacpp"),
    )
    assert model["file"]["problem"] is None


def test_it_turns_a_command_into_json(server):
    body = {"model": "orac-robot", "prompt": "Move forward 1.5 meters"}
    status, answer = server.json("POST", "/v1/prompt", body)
    assert status == 200
    assert answer["response"] == '{"action":"move","direction":"forward","meters":1.5}'
    assert (answer["model"], answer["instance"], answer["finish_reason"]) == (
        *("orac-robot", "local", "stop"),
    )
    assert answer["usage"]["completion_tokens"] > 0
    assert answer["timings"]["decode_tokens_per_second"] > 0


def test_it_streams_the_same_answer_and_ends_it_once(server):
    body = {"model": "orac-robot", "prompt": "Move forward 1.5 meters", "stream": True}
    status, headers, text = server.ask("POST", "/v1/prompt", body)
    assert (status, headers.get_content_type()) == (200, "text/event-stream")
    *chunks, (last, answer) = events(text)
    assert last == "done"
    assert {name for name, _ in chunks} == {"chunk"}
    assert "".join(data["text"] for _, data in chunks) == answer["response"]


def test_it_unloads_and_loads_with_true_progress(server):
    status, unloaded = server.json("POST", "/v1/models/orac-robot/unload")
    assert (status, unloaded["state"]) == (200, "stopped")
    _, _, text = server.ask("POST", "/v1/models/orac-robot/load", {"stream": True})
    *stages, (last, loaded) = events(text)
    assert (last, loaded["state"], loaded["verified"]) == ("done", "ready", True)
    assert [name for name, _ in stages] == ["progress"] * len(stages)
    assert {"read", "start", "verify"} <= {data["stage"] for _, data in stages}
    status, again = server.json("POST", "/v1/models/orac-robot/load")
    assert (status, again["already_loaded"]) == (200, True)


def test_it_serves_its_page_with_no_script_inside(server):
    status, headers, text = server.ask("GET", "/")
    assert (status, headers.get_content_type()) == (200, "text/html")
    assert "unsafe-inline" not in headers["Content-Security-Policy"]
    assert "<script>" not in text


def test_what_it_does_not_know_is_an_error_in_json(server):
    for method, path, expected in (
        ("GET", "/v1/nothing", 404),
        ("DELETE", "/v1/models", 405),
        ("POST", "/v1/models/absent/load", 404),
    ):
        status, body = server.json(method, path)
        assert status == expected
        assert set(body["error"]) >= {"message", "type", "param", "code"}


@pytest.fixture(scope="module")
def unseen():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        yield importlib.import_module("train_demo_model").unseen
        for name in [name for name in sys.modules if name.split(".")[0] == "demo_model"]:
            del sys.modules[name]


def test_at_least_95_of_100_unseen_commands_are_exactly_right(server, unseen):
    asked = list(unseen(seed=7, count=UNSEEN))
    right = 0
    for command, expected in asked:
        body = {"model": "orac-robot", "prompt": command, "options": {"temperature": 0}}
        status, answer = server.json("POST", "/v1/prompt", body)
        assert status == 200
        right += answer["response"] == expected
    assert right >= 0.95 * UNSEEN
