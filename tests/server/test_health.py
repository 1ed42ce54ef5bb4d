"""Health over HTTP."""

import pytest

import orac_core
from orac_core import InstanceHealth
from orac_core.devices import (
    Device,
    Gpu,
    GpuProcess,
    Limits,
    Machine,
    Memory,
    Power,
    Sensors,
)
from orac_core.devices.jetson import Jtop
from orac_core.devices.nvidia import Nvml
from orac_server.handlers.health import FOLDERS
from tests.scripted import ScriptedBackend

SCRIPTED = {"backends": {"fake": {"kind": "scripted"}}}

SMALL_REQUIRED = {**SCRIPTED, "models": {"files": {"small": {"required": True}}}}

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
    "starting",
    "loaded_count",
    "total_count",
    "errors",
    "plugins",
    "degradation",
}


class Talkative(ScriptedBackend):
    """A backend that tells of folders."""

    @orac_core.hookimpl
    async def health(self):
        return InstanceHealth(
            usable=False,
            message="no /opt/secret/bin/llama-server; see http://127.0.0.1:11434/api/tags",
            details={"socket": "/run/secret/1.sock", "count": 1},
            warnings=("/var/log/secret/a.log is full",),
        )


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
    assert (body["degradation"], body["errors"]) == ([], {})


async def test_the_memory_is_that_of_the_machine(service):
    memory = (await service.get("/v1/health")).body["memory"]
    assert 0 < memory["free_bytes"] <= memory["total_bytes"]
    assert 0 < memory["available_bytes"] <= memory["total_bytes"]
    assert memory["page_cache_bytes"] >= 0


class Board(Sensors):
    """A Jetson whose GPU says nothing and one of whose sensors is offline."""

    async def look(self):
        temperatures = {"cpu": 48.5, "gpu": None}
        return Machine(
            Memory(8 << 30, unified=True), None, Device("Orin", temperatures=temperatures)
        )


async def test_what_the_board_says_is_told_and_the_rest_is_null(open_service, backend):
    body = (await (await open_service(backend, sensors=Board())).get("/v1/health")).body
    assert body["gpu"] is None
    assert (body["memory"]["total_bytes"], body["memory"]["unified"]) == (8 << 30, True)
    assert body["memory"]["free_bytes"] is None
    assert (body["device"]["board"], body["device"]["power_mode"]) == ("Orin", None)
    assert body["device"]["temperatures"] == {"cpu": 48.5, "gpu": None}


class Measuring(Sensors):
    """A machine that measures its power and knows its limits."""

    async def look(self):
        device = Device(
            power_w=7.3,
            rails_w={"VDD_IN": 7.3, "VDD_SOC": None},
            power=Power(7.3, "VDD_IN"),
            temperature_limits={"cpu": Limits(99.0)},
            over_current_events={"oc3": 2},
            cpu_frequency_hz=1_510_400_000,
        )
        gpu = Gpu(frequency_max_hz=918_000_000, processes=(GpuProcess(7, "llama-server", 5),))
        return Machine(gpu=gpu, device=device)


async def test_power_clocks_and_limits_are_told_with_their_source(open_service, backend):
    body = (await (await open_service(backend, sensors=Measuring())).get("/v1/health")).body
    device, gpu = body["device"], body["gpu"]
    assert device["power"] == {"watts": 7.3, "source": "VDD_IN"}
    assert device["rails_w"] == {"VDD_IN": 7.3, "VDD_SOC": None}
    assert device["temperature_limits"] == {"cpu": {"passive_c": 99.0, "critical_c": None}}
    assert (device["over_current_events"], device["cpu_load_ratio"]) == ({"oc3": 2}, None)
    assert gpu["processes"] == [{"pid": 7, "name": "llama-server", "memory_bytes": 5}]
    assert (gpu["frequency_max_hz"], gpu["driver"]) == (918_000_000, None)


@pytest.mark.parametrize("fault", [ImportError("no jtop"), KeyError("load"), OSError("N/A")])
async def test_p76_sensors_that_fail_leave_health_standing(service, monkeypatch, fault):
    def failing(_):
        raise fault

    monkeypatch.setattr(Jtop, "read", failing)
    monkeypatch.setattr(Nvml, "read", failing)
    monkeypatch.setattr("orac_core.devices.linux.changing", failing)
    reply = await service.get("/v1/health")
    assert (reply.status, reply.body["gpu"], reply.body["device"]) == (200, None, None)
    assert set(reply.body["memory"].values()) == {None}


async def test_p38_nothing_that_can_serve_is_503_and_says_why(service, backend):
    backend.down = True
    reply = await service.get("/v1/health")
    assert (reply.status, reply.body["status"]) == (503, "unhealthy")
    assert reply.body["errors"] == {"fake": "down"}
    assert reply.body["instances"]["fake"]["usable"] is False


async def test_p66_no_folder_is_told(open_service):
    service = await open_service(Talkative())
    instance = (await service.get("/v1/health")).body["instances"]["fake"]
    assert instance["message"] == "no llama-server; see http://127.0.0.1:11434/api/tags"
    assert instance["warnings"] == ["a.log is full"]
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


async def test_everything_that_is_not_well_is_listed_with_what_it_is_about(open_service, backend):
    required = {"models": {"files": {"gone": {"required": True}, "small": {"required": True}}}}
    service = await open_service(backend, manifest={**SCRIPTED, **required})
    reply = await service.get("/v1/health")
    assert (reply.status, reply.body["status"]) == (503, "unhealthy")
    assert reply.body["message"] == (
        "required models not usable: gone; required models not loaded: fake/small"
    )
    nothing = dict.fromkeys(("model", "instance", "plugin", "role", "service"))
    assert reply.body["degradation"] == [
        {
            "kind": "required models not usable",
            **nothing,
            "model": "gone",
            "message": "no file and no engine has it",
            "findings": [],
        },
        {
            "kind": "required models not loaded",
            **nothing,
            "model": "fake/small",
            "message": "it is stopped; `orac load fake/small` loads it",
            "findings": [],
        },
    ]


async def test_warnings_of_a_backend_are_listed_without_folders(open_service):
    service = await open_service(Talkative())
    listed = (await service.get("/v1/health")).body["degradation"]
    assert [(each["instance"], each["message"]) for each in listed] == [
        ("fake", "no llama-server; see http://127.0.0.1:11434/api/tags"),
        ("fake", "a.log is full"),
    ]


async def test_a_required_model_is_listed_as_required(open_service, backend):
    service = await open_service(backend, manifest=SMALL_REQUIRED)
    listed = (await service.get("/v1/models")).body["data"]
    assert {each["id"]: each["required"] for each in listed} == {"small": True, "large": False}


async def test_it_is_ready_when_the_required_models_are_loaded(open_service, backend):
    service = await open_service(backend, manifest=SMALL_REQUIRED)
    reply = await service.get("/v1/health/ready")
    assert (reply.status, reply.error["code"]) == (503, "backend_unavailable")
    assert "required models not loaded: fake/small" in reply.error["message"]
    assert int(reply.headers["Retry-After"]) >= 1
    await service.post("/v1/models/small/load")
    reply = await service.get("/v1/health/ready")
    assert (reply.status, reply.body) == (200, {"status": "ready"})


async def test_it_is_not_ready_while_a_required_backend_is_down(open_service, backend):
    required = {"backends": {"fake": {"kind": "scripted", "required": True}}}
    service = await open_service(backend, manifest=required)
    assert (await service.get("/v1/health/ready")).status == 200
    backend.down = True
    reply = await service.get("/v1/health/ready")
    assert reply.status == 503
    assert "required backends not usable: fake" in reply.error["message"]
    assert (await service.get("/v1/health/live")).status == 200


async def test_where_nothing_is_required_readiness_asks_no_backend(service, backend):
    backend.hold("health")
    assert (await service.get("/v1/health/ready")).status == 200
    assert not backend.reached["health"].is_set()
