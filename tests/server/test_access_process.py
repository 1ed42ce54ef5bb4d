"""`orac serve` as a process: the token it makes, keeps and tells the place of."""

import json
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from orac_server.access.places import kept
from tests.processes import ended, orac, serving

ADMIN = "an-administrators-token"
MODELS = "/v1/models"


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """The folder that the processes of a test keep things in."""
    folder = tmp_path / "state"
    monkeypatch.setenv("ORAC_STATE_DIR", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def public(tmp_path, *options, environ=None):
    """Run a server that other machines could reach, on no models."""
    (tmp_path / "models").mkdir(exist_ok=True)
    words = ("--host", "0.0.0.0", "--models-dir", tmp_path / "models", *options)
    return serving(*words, environ=environ)


def asked(server, path=MODELS, token=None, method="GET"):
    """Return status and body."""
    connection = HTTPConnection("127.0.0.1", urlsplit(server.url).port, timeout=30)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def local(server):
    return f"http://127.0.0.1:{urlsplit(server.url).port}"


def test_p57_the_first_public_start_makes_a_token_and_the_next_one_keeps_it(tmp_path, state):
    file = state / "admin-token"
    with public(tmp_path) as server:
        token = file.read_text().strip()
        assert file.stat().st_mode & 0o777 == 0o600
        assert server.announced["tokens"] == {"admin": f"the file {file}"}
        assert [asked(server)[0], asked(server, token=token)[0]] == [401, 200]
        out, err = ended(server.process)
    assert token not in out + err
    assert len([line for line in err.splitlines() if str(file) in line]) == 1
    with public(tmp_path) as server:
        assert asked(server, token=token)[0] == 200
        # The user who may read the file needs to do nothing.
        listed = orac("list", "--json", "--url", local(server))
        assert (listed.returncode, json.loads(listed.stdout)["data"]) == (0, [])
        _, err = ended(server.process)
    assert str(file) not in err


def test_p65_p67_a_restart_with_another_token_refuses_the_old_one_and_logs_neither(tmp_path):
    old = kept(tmp_path / "state").text
    with public(tmp_path, environ={"ORAC_ADMIN_TOKEN": ADMIN}) as server:
        assert [asked(server, token=each)[0] for each in (old, ADMIN)] == [401, 200]
        path = "/v1/models/a%0d%0a%7B%22event%22:%22forged%22%7D/load"
        status, body = asked(server, path, ADMIN, "POST")
        assert (status, json.loads(body)["error"]["code"]) == (404, "model_not_found")
        out, err = ended(server.process)
    assert all(json.loads(line)["event"] != "forged" for line in err.splitlines())
    assert ADMIN not in out + err
    assert old not in out + err


def test_no_auth_says_so_loudly(tmp_path, state):
    quiet = {"ORAC_LOG_LEVEL": "warning"}
    with public(tmp_path, "--no-auth", environ=quiet) as server:
        assert server.announced["tokens"] == {}
        assert asked(server)[0] == 200
        status, body = asked(server, "/v1/health")
        assert (status, json.loads(body)["status"]) == (200, "degraded")
        _, err = ended(server.process)
    (line,) = err.splitlines()
    assert json.loads(line)["level"] == "warning"
    assert json.loads(line)["event"].startswith("no token is asked for, as that is turned off")
    assert not (state / "admin-token").exists()


def test_it_does_not_start_on_what_can_be_no_token(monkeypatch):
    monkeypatch.setenv("ORAC_USER_TOKEN", "zyzzyva")
    done = orac("serve", "--port", 0)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "ORAC_USER_TOKEN is too short" in line
    assert "zyzzyva" not in line
