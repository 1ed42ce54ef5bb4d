"""Profiles and roles of a running service, and what is told of roles that are left out."""

import json
from hashlib import sha256

import pytest

import orac_core
from orac_core import Plugins
from orac_core.manifest import parse
from orac_server import profiles
from orac_server.service import _judged
from tests.scripted import ScriptedBackend
from tests.tiny_adapters import write_adapter

MANIFEST = {
    "backends": {"fake": {"kind": "scripted"}},
    "models": {"parameters": {"temperature": 0.2, "top_p": 0.5}},
    "profile": "lab",
    "profiles": {
        "lab": {
            "models": {
                "general": {
                    "name": "small",
                    "provider": "scripted",
                    "parameters": {"top_p": 0.9, "num_predict": 64},
                    "source": "https://me:hidden@models.example/a.gguf?token=hidden",
                },
                "seeing": {"name": "large", "provider": "vision"},
            },
            "fallbacks": {"general": ["large"]},
        },
        "field": {"models": {"general": "large"}},
    },
}

REASON = "no plugin and no backend offers the provider 'vision'; there are: fake, scripted"


@pytest.fixture
async def service(open_service):
    return await open_service(ScriptedBackend(), manifest=MANIFEST)


async def test_a_role_is_told_as_it_came_out_and_secrets_of_its_source_are_not(service):
    reply = await service.get("/v1/profiles")
    assert (reply.status, reply.body["profile"]) == (200, "lab")
    (general,) = reply.body["roles"]
    assert (general["provider"], general["kind"]) == ("fake", "scripted")
    assert general["models"] == ["fake/small", "large"]
    said = {name: it for name, it in general["parameters"].items() if it not in (None, [])}
    assert said == {"temperature": 0.2, "top_p": 0.9, "max_tokens": 64}
    assert general["source"] == "https://***@models.example/a.gguf?***"
    assert "hidden" not in str(reply.body)


async def test_every_profile_is_told_as_it_was_written(service):
    found = {each["name"]: each for each in (await service.get("/v1/profiles")).body["profiles"]}
    assert {name: each["active"] for name, each in found.items()} == {"lab": True, "field": False}
    general, seeing = found["lab"]["roles"]
    assert (general["provider"], general["parameters"]["temperature"]) == ("scripted", None)
    assert seeing["provider"] == "vision"
    assert found["lab"]["fallbacks"] == {"general": ["large"]}


async def test_a_role_that_is_left_out_makes_health_degraded_and_stops_nothing(service):
    reply = await service.get("/v1/profiles")
    assert reply.body["skipped"] == [{"role": "seeing", "reason": REASON}]
    health = (await service.get("/v1/health")).body
    assert (health["status"], health["message"]) == ("degraded", "roles skipped: seeing")
    (flaw,) = health["degradation"]
    assert (flaw["kind"], flaw["role"], flaw["message"]) == ("roles skipped", "seeing", REASON)
    assert (await service.get("/v1/health/ready")).status == 200
    answer = await service.post("/v1/prompt", {"model": "general", "prompt": "hi"})
    assert (answer.body["model"], answer.body["role"]) == ("small", "general")
    lost = await service.post("/v1/prompt", {"model": "seeing", "prompt": "hi"})
    assert (lost.status, lost.error["code"]) == (404, "model_not_found")


async def test_a_role_that_is_left_out_is_logged_at_the_start(service, monkeypatch):
    told = []

    class Log:
        def warning(self, text, **facts):
            told.append((text, facts))

    monkeypatch.setattr("orac_server.service.logger", Log())
    await _judged(service.manager, strict=False)
    assert told == [(f"seeing: {REASON}", {"kind": "roles skipped", "role": "seeing"})]


@pytest.mark.parametrize(
    ("role", "missed"),
    [
        ("m", False),
        ({"name": "m", "provider": "ollama"}, True),
        ("ollama/m", True),
    ],
)
async def test_an_ollama_that_a_role_names_is_missed_where_it_does_not_answer(
    tmp_path, role, missed
):
    manifest = parse({"profiles": {"default": {"models": {"general": role}}}}, "a test")
    environ = {"OLLAMA_HOST": "http://127.0.0.1:9"}
    opening = orac_core.open(
        manifest, models_dir=tmp_path, environ=environ, plugins=Plugins.discover()
    )
    async with opening as manager:
        health = await manager.health()
    assert ("ollama" in health.instances) is missed
    assert health.status == ("degraded" if missed else "healthy")


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (None, None),
        ("/models/a.gguf", "/models/a.gguf"),
        ("hf://owner/repo/a.gguf", "hf://owner/repo/a.gguf"),
        ("https://h/a?sig=x#y", "https://h/a?***"),
        ("https://[h/a", "***"),
    ],
)
def test_of_a_source_nothing_secret_is_shown(source, shown):
    assert profiles.source(source) == shown


async def test_adapters_with_a_manifest_are_told_and_what_is_wrong_with_them(
    open_service, tmp_path
):
    adapter = write_adapter(tmp_path / "robot.gguf")
    said = {"name": "robot", "file": adapter.name, "checksum": f"sha256:{'a' * 64}"}
    whole = {**said, "base_architecture": "qwen3"}
    (tmp_path / "robot.json").write_text(json.dumps(whole))
    (tmp_path / "short.json").write_text(json.dumps({**said, "name": "short"}))
    models = {"adapters": str(tmp_path)}
    service = await open_service(ScriptedBackend(), manifest={**MANIFEST, "models": models})
    robot, short = (await service.get("/v1/profiles")).body["adapters"]
    assert (robot["name"], robot["path"], robot["problem"]) == ("robot", str(adapter), None)
    assert (short["path"], "lacks `base_architecture`" in short["problem"]) == (None, True)


async def test_a_model_tells_of_its_adapters_before_and_after_a_load(open_service, tmp_path):
    adapter = write_adapter(tmp_path / "robot.gguf")
    wish = {"adapters": [{"path": str(adapter), "scale": 0.5}]}
    manifest = {**MANIFEST, "models": {"files": {"small": wish}}}
    service = await open_service(ScriptedBackend(), manifest=manifest)
    (before,) = (await service.get("/v1/models/small")).body["adapters"]
    assert before == {"name": "robot.gguf", "scale": 0.5, "sha256": None, "problem": None}
    loaded = (await service.post("/v1/models/small/load", {})).body["applied"]["adapters"]
    digest = sha256(adapter.read_bytes()).hexdigest()
    assert loaded == [{"name": "robot.gguf", "scale": 0.5, "sha256": digest}]
    adapter.unlink()
    (after,) = (await service.get("/v1/models/small")).body["adapters"]
    assert (after["sha256"], "the adapter is not there" in after["problem"]) == (digest, True)
