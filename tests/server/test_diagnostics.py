"""All that helps to understand a fault, over HTTP."""

import json

import pytest

import orac_core
from orac_core.blackbox import recording
from orac_core.manifest import parse
from orac_core.state_directory import StateDirectory
from tests.scripted import ScriptedBackend, plugins
from tests.server.serving import service as serving

ASKED = {"model": "small", "prompt": "zyzzyva"}


@pytest.fixture
async def recorded(tmp_path):
    """A service with a black box, and the box."""
    state = StateDirectory(tmp_path / "state")
    manifest = parse({"backends": {"fake": {"kind": "scripted", "models": ["small"]}}}, "test")
    found = plugins(ScriptedBackend(words=("abaculus",)))
    opening = orac_core.open(manifest, plugins=found, environ={}, state=state)
    async with opening as manager, serving(manager) as service:
        with recording(manager.events, state) as box:
            yield service, box


async def test_it_tells_what_happened_without_a_word_of_what_was_asked(recorded):
    service, box = recorded
    await service.post("/v1/prompt", ASKED)
    box.flush()
    found = (await service.get("/v1/diagnostics")).body
    assert {"model", "answer"} <= {each["kind"] for each in found["events"]}
    assert found["health"]["status"] == "healthy"
    assert found["backends"] == {"fake": {"models": ["small"]}}
    assert found["versions"]["orac"]
    assert "no prompts" in found["about"]["promise"]
    text = json.dumps(found)
    assert "zyzzyva" not in text
    assert "abaculus" not in text


async def test_without_a_folder_there_are_no_events(service):
    assert (await service.get("/v1/diagnostics")).body["events"] == []


async def test_secrets_of_the_manifest_and_the_environment_are_masked(open_service, monkeypatch):
    monkeypatch.setenv("ORAC_ADMIN_TOKEN", "zyzzyva-4711")
    models = ["--api-key", "abaculus-1234"]
    manifest = {"backends": {"fake": {"kind": "scripted", "models": models}}}
    service = await open_service(ScriptedBackend(), manifest=manifest)
    found = (await service.get("/v1/diagnostics")).body
    assert "ORAC_ADMIN_TOKEN" in found["environment"]
    assert found["backends"]["fake"]["models"] == ["--api-key", "***"]
    assert "zyzzyva" not in json.dumps(found)
    assert "abaculus" not in json.dumps(found)


async def test_a_model_that_failed_is_named_without_the_words_of_its_engine(open_service):
    backend = ScriptedBackend()
    backend.failures["load"] = orac_core.BackendError("it said zyzzyva")
    service = await open_service(backend)
    await service.post("/v1/models/small/load")
    found = (await service.get("/v1/diagnostics")).body
    assert found["health"]["errors"] == ["fake/small"]
    assert "zyzzyva" not in json.dumps(found)
