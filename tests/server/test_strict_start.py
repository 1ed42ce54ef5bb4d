"""The service's own check at its start: what it logs, and when it does not start at all."""

import json
import time

import aiohttp
import pytest

from tests import tiny_models
from tests.processes import ended, orac, serving, start

GONE = "[models.files.gone]\nrequired = true\n"
LOCAL = '[backends.local]\nkind = "llamacpp"\n'
FAR = '[backends.far]\nkind = "warp"\n'
WARNINGS = {"ORAC_LOG_LEVEL": "warning"}


@pytest.fixture
def folder(tmp_path):
    """A folder with the model ``here`` and the broken file ``cut``."""
    models = tmp_path / "models"
    models.mkdir()
    whole = tiny_models.write(models, "tiny-pythia", stem="here").read_bytes()
    (models / "cut.gguf").write_bytes(whole[:-100])
    return models


@pytest.fixture
def options(tmp_path, folder):
    """Return what `orac serve` is given for a manifest."""

    def given(manifest, *, strict=True):
        path = tmp_path / "orac.toml"
        path.write_text(f"[server]\nstrict_start = {str(strict).lower()}\n{manifest}")
        return ("--manifest", path, "--models-dir", folder)

    return given


@pytest.fixture
def engine(tmp_path):
    """Return a manifest that loads ``here`` at the start, with an engine that does what is said."""

    def doing(what):
        program = tmp_path / "llama-server"
        program.write_text(
            f"#!/bin/sh\ncase $1 in --version|--help) echo version: 1;; *) {what};; esac\n"
        )
        program.chmod(0o755)
        wishes = "[models.files.here]\nrequired = true\nload_at_start = true\n"
        return f"[models]\nretries = 0\n{LOCAL}server_binary = {str(program)!r}\n{wishes}"

    return doing


def wait_for(condition, within_s=30):
    ends_at = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def refused(*arguments):
    done = orac("serve", "--port", 0, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    logged = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    said = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("{"))
    return logged, said


async def health(url):
    async with aiohttp.ClientSession(url) as session, session.get("/v1/health") as response:
        return response.status, await response.json()


def test_a_required_model_that_nothing_has_forbids_a_strict_start(options):
    logged, said = refused(*options(GONE))
    verdict, *reasons = said.splitlines()
    assert verdict == (
        "orac: not started, as `strict_start` is set: required models not usable: gone; models "
        "failed: local/cut; correct that, or take `required` or `strict_start` out of the "
        "manifest; `orac doctor` says more"
    )
    assert reasons == [f"  {each['event']}" for each in logged]
    assert logged[0]["event"] == "gone: no file and no engine has it"
    assert (logged[0]["level"], logged[0]["model"]) == ("warning", "gone")


def test_a_required_file_that_is_broken_forbids_a_strict_start(options):
    _, said = refused(*options("[models.files.cut]\nrequired = true\n"))
    assert "required models not usable: local/cut" in said
    assert "truncated" in said


def test_a_required_backend_that_is_not_there_forbids_a_strict_start(options):
    logged, said = refused(*options(f"{LOCAL}{FAR}required = true\n"))
    assert "required backends not usable: far" in said
    assert "no plugin offers the kind 'warp'" in said
    assert logged[0]["instance"] == "far"


def test_where_nothing_can_serve_a_strict_start_is_forbidden(options):
    _, said = refused(*options(FAR))
    assert "no backend is usable: far" in said


def test_what_is_required_and_usable_lets_a_strict_start_go_on_without_loading_it(options):
    manifest = f"{LOCAL}required = true\n[models.files.here]\nrequired = true\n{FAR}"
    with serving(*options(manifest), environ=WARNINGS) as server:
        listed = json.loads(orac("list", "--json", "--url", server.url).stdout)["data"]
        _, err = ended(server.process)
    assert server.process.returncode == 0
    states = {each["id"]: (each["state"], each["required"]) for each in listed}
    assert states == {"here": ("stopped", True), "cut": ("failed", False)}
    assert [json.loads(line)["kind"] for line in err.splitlines()] == [
        "backends not usable",
        "models failed",
        "required models not loaded",
    ]


async def test_without_a_strict_start_the_service_goes_on_and_health_says_why(options):
    with serving(*options(GONE, strict=False)) as server:
        status, body = await health(server.url)
        _, err = ended(server.process)
    assert (status, body["status"]) == (503, "unhealthy")
    assert body["errors"]["gone"] == "no file and no engine has it"
    assert "gone: no file and no engine has it" in err


def test_a_strict_start_waits_for_what_is_loaded_at_the_start(options):
    manifest = f"{LOCAL}[models.files.here]\nrequired = true\nload_at_start = true\n"
    with serving(*options(manifest)) as server:
        listed = json.loads(orac("list", "--json", "--url", server.url).stdout)["data"]
    states = {each["id"]: each["state"] for each in listed}
    assert states == {"here": "ready", "cut": "failed"}


def test_a_required_model_that_can_not_be_loaded_at_the_start_forbids_a_strict_start(
    options, engine
):
    _, said = refused(*options(engine("exit 5")))
    assert "required models not usable: local/here" in said
    assert "exit code 5" in said


def test_a_strict_start_that_waits_for_a_load_can_be_told_to_stop(options, engine, tmp_path):
    begun = tmp_path / "begun"
    process = start("serve", "--port", 0, *options(engine(f"echo > {begun}; exec sleep 600")))
    try:
        wait_for(begun.exists)
        out, err = ended(process, within_s=10)
    finally:
        process.kill()
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err


def test_where_all_is_well_no_warning_is_logged(tmp_path, folder):
    (folder / "cut.gguf").unlink()
    manifest = tmp_path / "orac.toml"
    manifest.write_text(LOCAL)
    options = ("--manifest", manifest, "--models-dir", folder)
    with serving(*options, environ=WARNINGS) as server:
        assert ended(server.process) == ("", "")
