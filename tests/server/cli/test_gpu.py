"""`orac doctor --gpu`: on described machines, beside a server and alone."""

import asyncio
import json
import sys
from types import SimpleNamespace

import pytest
from attrs import define, evolve

from orac_core import Shape
from orac_core.devices import Gpu, Machine, Memory, Sensors
from orac_core.shape import Block
from orac_server.cli import gpu_look
from tests.core.devices.boards import ALL, DESCRIBED, build, described, meminfo, power_mode, tegra
from tests.core.devices.test_cards import TWO, Rack
from tests.processes import orac_here
from tests.scripted import NoSensors, ScriptedBackend

MIB, GIB = 1 << 20, 1 << 30
KB = 1024
BLOCK = Block(weights_bytes=50 * MIB, key_width=1024, value_width=1024)
SHAPE = Shape(blocks=(BLOCK,) * 16, embedding_bytes=100 * MIB, embedding_width=2048)
FULL = {
    **tegra("NVIDIA Jetson Orin Nano", "234", "# R36 (release), REVISION: 4.3"),
    **power_mode(0, "15W", "MAXN"),
    "proc/meminfo": meminfo(7_802_000, 300_000, 90_000, 1_200_000, NvMapMemUsed=4_000_000),
}


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch, tmp_path):
    for name in ("jtop", "pynvml"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(gpu_look, "ROOT", build(tmp_path / "nothing", {}))


@pytest.fixture
def on(monkeypatch, tmp_path):
    """Run the commands on a machine that is described by its files, and by its cards."""

    def described_by(files, cards=None):
        monkeypatch.setattr(gpu_look, "ROOT", build(tmp_path / "machine", files))
        if cards:
            fake = Rack({**TWO, **cards})
            monkeypatch.setitem(sys.modules, "pynvml", fake)
            return fake
        return None

    return described_by


def alone(*arguments):
    done = orac_here("doctor", "--gpu", *arguments)
    assert "Traceback" not in done.stderr
    return done


def facts(*arguments):
    done = alone("--json", *arguments)
    return json.loads(done.stdout), done.returncode


@pytest.mark.parametrize("board", DESCRIBED)
def test_every_described_board_is_told_whole_and_nothing_unknown_is_0(on, board):
    on(described(board)["files"])
    found, code = facts()
    assert (code, found["ok"]) == (0, True)
    (device,) = found["devices"]
    assert device["kind"] == ("memory" if board in {"laptop", "sensors-missing"} else "shared")
    total, free, used = (device[f"{each}_bytes"] for each in ("total", "free", "used"))
    assert used == (None if free is None else total - free)
    assert (free, found["level"]) == (None, None) or board != "sensors-missing"
    assert device["reserved_bytes"] is None


def test_the_memory_that_a_jetson_shares_is_its_device(on):
    on(described("orin-nano")["files"])
    found, code = facts()
    (device,) = found["devices"]
    assert (code, found["level"], device["counts"]) == (0, "ok", True)
    assert device["name"] == "memory shared with gpu"
    assert device["free_bytes"] == 5_000_000 * KB
    assert (device["gpu_bytes"], device["load_ratio"]) == (1_048_576 * KB, 0.873)
    assert found["versions"]["jetpack"] == "L4T 36.4.3"
    assert found["remedies"] == []


def test_a_full_jetson_is_critical_with_what_helps(on):
    on(FULL)
    done = alone()
    assert done.returncode == 1
    first, *more = done.stdout.splitlines()
    assert first.startswith(
        "✗ critical: memory shared with NVIDIA Jetson Orin Nano: 293 MiB is free (3.8%), less than"
    )
    (cache,) = [line for line in more if line.startswith("1. ")]
    assert "give the page cache back before a load: 1.2 GiB, beside 88 MiB" in cache
    assert any(line.startswith("2. the power mode is 15W") for line in more)


def test_a_machine_without_a_gpu_says_so_tells_its_memory_and_is_well(on):
    on({"proc/meminfo": meminfo(16_000_000, 100_000, 50_000, 20_000)})
    done = alone()
    assert done.returncode == 0
    assert done.stdout[2:].startswith("no GPU of NVIDIA is found (")
    assert "memory of the machine\t15.3 GiB\t97.7 MiB" in done.stdout


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [
        ("--min-free-gib", 4.5, 0),
        ("--min-free-gib", 5, 1),
        ("--min-free-ratio", 0.6, 0),
        ("--min-free-ratio", 0.7, 1),
    ],
)
def test_what_is_wanted_decides_the_exit_code_with_a_gpu_and_without(on, option, value, code):
    for files in (
        described("orin-nano")["files"],
        {"proc/meminfo": meminfo(7_802_000, *[5_000_000] * 3)},
    ):
        on(files)
        found, ended = facts(option, value)
        assert (ended, found["ok"]) == (code, not code)
        assert found["devices"][0]["short"] is bool(code)


def test_what_is_wanted_and_there_is_well_though_orac_would_call_it_critical(on):
    on(FULL)
    found, code = facts("--min-free-gib", 0.1)
    assert (code, found["ok"], found["level"]) == (0, True, "critical")


def test_a_machine_that_says_nothing_can_promise_nothing(on):
    on({})
    found, code = facts()
    assert (code, found["level"], found["devices"][0]["free_bytes"]) == (0, None, None)
    assert facts("--min-free-gib", 1)[1] == 1


def test_the_limit_of_a_container_is_the_end_of_its_memory(on):
    on(
        {
            **ALL["container"],
            "sys/fs/cgroup/memory/docker/0123/memory.usage_in_bytes": str(2 * GIB - 100 * MIB),
        }
    )
    device = facts()[0]["devices"][0]
    assert (device["total_bytes"], device["free_bytes"]) == (2 * GIB, 100 * MIB)
    assert device["level"] == "critical"


def test_each_card_is_a_device_beside_the_memory_of_the_machine(on):
    on(ALL["desktop"], {"init": None})
    found, code = facts()
    assert code == 0
    assert [(each["name"], each["kind"], each["counts"]) for each in found["devices"]] == [
        ("RTX 4090 0", "card", True),
        ("A6000 1", "card", True),
        ("memory of the machine", "memory", False),
    ]
    first = found["devices"][0]
    assert (first["free_bytes"], first["used_bytes"]) == (21 * GIB, 5 * GIB // 2)
    assert (first["reserved_bytes"], first["memory_load_ratio"]) == (GIB // 2, 0.05)
    assert (found["versions"]["driver"], found["versions"]["cuda"]) == ("580.95.05", "12.6")


def test_cards_that_the_variable_hides_are_told_only_when_all_are_wanted(on, monkeypatch):
    on(ALL["desktop"], {"init": None})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    found, _ = facts()
    assert ([each["index"] for each in found["devices"]], found["hidden"]) == ([1, None], 1)
    assert [each["index"] for each in facts("--all-devices")[0]["devices"]] == [0, 1, None]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES hides all GPUs, 2 of them; --all-devices" in alone().stdout


def full(handle, version=None):
    total, free = 24 * GIB, 200 * MIB
    return SimpleNamespace(total=total, used=total - free, free=free, reserved=0)


def test_a_full_card_is_critical(on):
    on(ALL["desktop"], {"nvmlDeviceGetMemoryInfo": full})
    found, code = facts()
    assert (code, found["level"]) == (1, "critical")
    assert found["verdict"].startswith("critical: RTX 4090 0: 200 MiB is free (0.8%), less than")


def test_without_cuda_the_library_is_not_touched(on):
    fake = on(ALL["desktop"], {"nvmlDeviceGetMemoryInfo": full})
    found, code = facts("--no-cuda")
    assert (code, [each["kind"] for each in found["devices"]]) == (0, ["memory"])
    assert (fake.opened, found["silent"]) == (0, {})


@pytest.mark.parametrize(
    "arguments",
    [
        ("--min-free-gib", "-1"),
        ("--min-free-gib", "nan"),
        ("--min-free-gib", "inf"),
        ("--min-free-ratio", "1.5"),
        ("--min-free-ratio", "nan"),
        ("--quick",),
        ("--degradation",),
        ("--server",),
        ("--bundle",),
        ("--manifest", "x.toml"),
        ("some-model",),
    ],
)
def test_what_does_not_go_with_it_is_a_usage_error(arguments):
    done = orac_here("doctor", "--gpu", *arguments)
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize(
    "arguments",
    [("--min-free-gib", "1"), ("--min-free-ratio", "0.1"), ("--all-devices",), ("--no-cuda",)],
)
def test_its_options_need_it(arguments):
    done = orac_here("doctor", *arguments)
    assert done.returncode == 2
    assert "belong to --gpu" in done.stderr


@define(eq=False)
class Shaped(ScriptedBackend):
    """An engine whose models say what they are made of; each takes less than it may."""

    def _info(self, name):
        found = ScriptedBackend._info(self, name)
        loaded = found.loaded and evolve(
            found.loaded, context_length=8192, parallel=2, memory_bytes=GIB, on_gpu_ratio=1.0
        )
        return evolve(found, shape=SHAPE, context_length=32_768, size_bytes=GIB, loaded=loaded)


@pytest.fixture
async def service(open_service):
    service = await open_service(Shaped(), sensors=NoSensors())
    for model in ("small", "large"):
        assert (await service.post(f"/v1/models/{model}/load")).status == 200
    assert (await service.post("/v1/prompt", {"model": "large", "prompt": "x"})).status == 200
    return service


@pytest.fixture
def asked(service):
    """Run the command beside that service."""
    url = service.url.rstrip("/")

    async def run(*arguments):
        done = await asyncio.to_thread(orac_here, "doctor", "--gpu", "--url", url, *arguments)
        assert done.stderr.startswith(f"orac: using the server at {url}\n"), done.stderr
        return done

    return run


async def test_what_a_server_has_loaded_is_told_with_what_each_way_would_free(on, asked):
    on(FULL)
    found = json.loads((await asked("--json")).stdout)
    assert found["source"] == "server"
    assert {each["name"]: each["memory_bytes"] for each in found["models"]} == {
        "fake/small": GIB,
        "fake/large": GIB,
    }
    ways = [(each["relief"], each["model"]) for each in found["remedies"]]
    names = ("fake/small", "fake/large")
    assert sorted(ways[:2]) == sorted(("smaller_context", each) for each in names)
    assert sorted(ways[2:4]) == sorted(("fewer_parallel", each) for each in names)
    assert ways[4:] == [("evict", "fake/small"), ("page_cache", None), ("power_mode", None)]
    half = found["remedies"][0]
    assert half["command"].endswith("--context-length 4096")
    assert half["frees_bytes"] >= 4096 * 2 * 16 * 2048 * 2


@define(eq=False)
class Elsewhere(Shaped):
    """An engine of another machine."""

    def _info(self, name):
        return evolve(Shaped._info(self, name), remote=True)


async def test_what_another_machine_serves_is_not_loaded_here(on, open_service):
    on(FULL)
    service = await open_service(Elsewhere(), sensors=NoSensors())
    assert (await service.post("/v1/models/small/load")).status == 200
    url = service.url.rstrip("/")
    done = await asyncio.to_thread(orac_here, "doctor", "--gpu", "--json", "--url", url)
    assert json.loads(done.stdout)["models"] == []


async def test_what_loaded_models_may_still_take_counts(on, asked, service):
    on(FULL)
    found = json.loads((await asked("--json")).stdout)
    models = (await service.get("/v1/models")).body["data"]
    expected = sum(each["memory"]["estimated_bytes"] - GIB for each in models)
    assert found["devices"][0]["owed_bytes"] == expected > 0


async def test_of_a_server_on_another_machine_that_machine_is_told(open_service, monkeypatch):
    class Far(Sensors):
        async def look(self):
            gpu = Gpu("RTX", 8 * GIB, 7 * GIB, 0.5, "12.6", driver="580")
            return Machine(Memory(32 * GIB, 16 * GIB, unified=False), gpu)

    service = await open_service(Shaped(), sensors=Far())
    monkeypatch.setattr(gpu_look, "is_here", lambda _: False)
    url = service.url.rstrip("/")
    done = await asyncio.to_thread(orac_here, "doctor", "--gpu", "--json", "--url", url)
    found = json.loads(done.stdout)
    assert [(each["kind"], each["free_bytes"]) for each in found["devices"]] == [
        ("card", GIB),
        ("memory", 16 * GIB),
    ]
    assert found["versions"]["driver"] == "580"
    assert found["versions"]["engines"] == {"fake": "1"}


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8000", True),
        ("http://[::1]:8000", True),
        ("http://localhost:8000", True),
        ("http://robot.localhost", True),
        ("http://robot:8000", False),
        ("http://192.168.1.7", False),
    ],
)
def test_a_server_at_a_loopback_address_is_on_this_machine(url, here):
    assert gpu_look.is_here(url) is here


def test_a_wrong_manifest_does_not_keep_the_memory_from_being_told(on, monkeypatch, tmp_path):
    on(described("orin-nano")["files"])
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[backends.x]\nkind = 7\n")
    monkeypatch.setenv("ORAC_MANIFEST", str(wrong))
    done = alone("--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["source"], found["models"]) == (0, None, None)
    assert "what is loaded is not known" in done.stderr
