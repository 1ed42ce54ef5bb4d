"""The service's own check at its start: what it logs, and when it does not start at all."""

import json

import aiohttp
import pytest

from tests import tiny_models
from tests.processes import ended, orac, serving

GONE = "[models.files.gone]\nrequired = true\n"
LOCAL = '[backends.local]\nkind = "llamacpp"\n'
FAR = '[backends.far]\nkind = "warp"\n'


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
    with serving(*options(manifest)) as server:
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


def test_where_all_is_well_nothing_is_logged(tmp_path, folder):
    (folder / "cut.gguf").unlink()
    manifest = tmp_path / "orac.toml"
    manifest.write_text(LOCAL)
    with serving("--manifest", manifest, "--models-dir", folder) as server:
        assert ended(server.process) == ("", "")
