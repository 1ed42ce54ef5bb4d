"""Health over HTTP."""

from orac_core import InstanceHealth
from orac_server.handlers.health import FOLDERS

FIELDS = {
    "status",
    "message",
    "uptime_s",
    "versions",
    "memory",
    "gpu",
    "device",
    "instances",
    "models_loaded",
    "loaded_count",
    "total_count",
    "errors",
    "plugins",
    "degradation",
}


async def test_a_healthy_service_says_how_it_is(service):
    await service.post("/v1/models/small/load")
    reply = await service.get("/v1/health")
    body = reply.body
    assert (reply.status, body["status"]) == (200, "healthy")
    assert set(body) == FIELDS
    assert body["uptime_s"] >= 0
    assert body["versions"]["backends"] == {"fake": "1"}
    assert set(body["versions"]) == {"orac", "python", "backends"}
    assert body["models_loaded"] == {"fake/small": True, "fake/large": False}
    assert (body["loaded_count"], body["total_count"]) == (1, 2)
    assert body["plugins"] == {"loaded": ["scripted"], "broken": {}}
    assert (body["gpu"], body["device"], body["degradation"], body["errors"]) == (
        None,
        None,
        [],
        {},
    )


async def test_the_memory_is_that_of_the_machine(service):
    memory = (await service.get("/v1/health")).body["memory"]
    assert memory["unified"] is None
    assert 0 < memory["free_bytes"] <= memory["total_bytes"]
    assert 0 < memory["available_bytes"] <= memory["total_bytes"]
    assert memory["page_cache_bytes"] >= 0


async def test_p38_nothing_that_can_serve_is_503_and_says_why(service, backend):
    backend.down = True
    reply = await service.get("/v1/health")
    assert (reply.status, reply.body["status"]) == (503, "unhealthy")
    assert reply.body["errors"] == {"fake": "down"}
    assert reply.body["instances"]["fake"]["usable"] is False


async def test_p66_no_folder_is_told(service, backend, monkeypatch):
    async def health(_manager, _instance):
        return InstanceHealth(
            usable=False,
            message="no /opt/secret/bin/llama-server; see http://127.0.0.1:11434/api/tags",
            details={"socket": "/run/secret/1.sock", "count": 1},
        )

    monkeypatch.setattr(type(service.manager), "_health_of", health)
    instance = (await service.get("/v1/health")).body["instances"]["fake"]
    assert instance["message"] == "no llama-server; see http://127.0.0.1:11434/api/tags"
    assert instance["details"] == {"socket": "1.sock", "count": 1}


def test_names_with_slashes_are_no_folders():
    for text in ("local/a/b.gguf", "HF: org/model", "1/2 done", "and/or"):
        assert FOLDERS.sub("", text) == text


async def test_it_lives_always_and_is_ready_until_it_closes(service, backend):
    backend.down = True
    assert (await service.get("/v1/health/live")).status == 200
    assert (await service.get("/v1/health/ready")).status == 200
    await service.manager.close()
    assert (await service.get("/v1/health/live")).status == 200
    reply = await service.get("/v1/health/ready")
    assert (reply.status, reply.error["code"]) == (503, "shutting_down")
