"""One look at a machine through all its sources."""

import asyncio
import subprocess
import sys
import threading

import pytest

from orac_core.devices import Machine, Memory, Sensors
from tests.core.devices import boards
from tests.core.devices.boards import build
from tests.core.devices.test_jetson import JtopException, orin
from tests.core.devices.test_nvidia import NOT_SUPPORTED, RTX, FakeNvml, NVMLError
from tests.waiting import until

KB = 1024


pytestmark = pytest.mark.usefixtures("nothing_of_this_machine")


@pytest.fixture
def pynvml(monkeypatch):
    fake = FakeNvml(dict(RTX))
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


async def look(root, **how) -> Machine:
    async with Sensors(root, **{"deadline_s": 5.0} | how) as sensors:
        return await sensors.look()


async def test_p76_without_jtop_and_nvml_the_kernel_tells(tmp_path):
    machine = await look(build(tmp_path, boards.ORIN_NANO))
    assert machine.memory.unified is True
    assert machine.memory.available_bytes == 5_000_000 * KB
    assert machine.gpu.load_ratio == 0.873
    assert machine.device.jetpack == "L4T 36.4.3"
    assert (machine.device.jetson_clocks, machine.device.power_w) == (None, None)
    assert set(machine.silent) == {"jtop", "nvml"}


async def test_p76_a_thor_whose_jtop_has_no_gpu_gets_it_from_the_kernel(tmp_path, jtop):
    jtop.said = orin(gpu={})
    machine = await look(build(tmp_path, boards.THOR))
    assert machine.gpu.frequency_hz == 1_575_000_000
    assert machine.gpu.load_ratio is None
    assert machine.device.power_w == 7.34


async def test_p76_a_sensor_at_minus_256_is_null_in_either_source(tmp_path, jtop):
    root = build(tmp_path, boards.ORIN_NANO)
    assert (await look(root)).device.temperatures["tj"] is None
    jtop.fault = JtopException("not active")
    assert (await look(root)).device.temperatures["tj"] is None


async def test_p76_a_gpu_of_which_nvidia_says_not_available_is_known_by_name(tmp_path, pynvml):
    for name in RTX.keys() - {"init", "nvmlDeviceGetHandleByIndex"}:
        pynvml.answers[name] = NVMLError(NOT_SUPPORTED)
    pynvml.answers["nvmlDeviceGetName"] = "NVIDIA GB10"
    machine = await look(build(tmp_path, boards.DESKTOP))
    assert (machine.gpu.name, machine.gpu.memory_total_bytes) == ("NVIDIA GB10", None)
    assert machine.memory.unified is True


async def test_jtop_is_asked_first_and_nvml_knows_the_name(tmp_path, jtop, pynvml):
    pynvml.answers["nvmlDeviceGetName"] = "Orin (nvgpu)"
    machine = await look(build(tmp_path, boards.ORIN_NANO))
    assert machine.gpu.name == "Orin (nvgpu)"
    assert machine.gpu.frequency_hz == 918_000_000
    assert machine.device.jetpack == "6.2"
    assert machine.silent == {}


async def test_free_and_available_memory_are_of_one_moment(tmp_path, jtop):
    jtop.said = orin(memory={"RAM": {"tot": 1, "free": 1, "cached": 1}})
    machine = await look(build(tmp_path, boards.ORIN_NANO))
    assert machine.memory.free_bytes == 700_000 * KB


async def test_jtop_tells_the_memory_where_proc_does_not(tmp_path, jtop):
    machine = await look(tmp_path)
    assert machine.memory.total_bytes == 7_802_000 * KB
    assert machine.memory.available_bytes is None


async def test_a_card_with_its_own_memory_shares_none(tmp_path, pynvml):
    machine = await look(build(tmp_path, boards.DESKTOP))
    assert machine.memory.unified is False
    assert machine.gpu.memory_total_bytes == 24 << 30


async def test_a_desktop_without_a_gpu_has_none(tmp_path):
    machine = await look(build(tmp_path, boards.DESKTOP))
    assert (machine.gpu, machine.memory.unified, machine.device.board) == (None, None, None)


async def test_one_source_that_sees_throttling_is_enough(tmp_path, pynvml):
    machine = await look(build(tmp_path, boards.AGX_ORIN))
    assert machine.device.throttling is True


async def test_a_container_without_sys_knows_its_memory(tmp_path):
    machine = await look(build(tmp_path, boards.CONTAINER))
    assert machine.memory.limit_bytes == 2 << 30
    assert (machine.gpu, machine.device) == (None, None)


async def test_where_nobody_knows_anything_nothing_is_known(tmp_path):
    machine = await look(tmp_path)
    assert (machine.memory, machine.gpu, machine.device) == (Memory(), None, None)


async def test_p76_a_jtop_that_hangs_holds_up_no_look(tmp_path, jtop):
    release = threading.Event()
    jtop.start = lambda _self: release.wait(10)
    try:
        machine = await look(build(tmp_path, boards.ORIN_NANO), deadline_s=0.2)
    finally:
        release.set()
    assert machine.device.power_mode == "MAXN_SUPER"
    assert machine.silent["jtop"] == "no answer within 0.2 s"


async def test_what_never_changes_is_read_once(tmp_path):
    root = build(tmp_path, boards.ORIN_NANO)
    async with Sensors(root, 5.0) as sensors:
        await sensors.look()
        (root / "proc/device-tree/model").unlink()
        (root / "proc/meminfo").write_text(boards.meminfo(7_802_000, 1_000, 500, 100))
        machine = await sensors.look()
    assert machine.device.board.startswith("NVIDIA Jetson Orin Nano")
    assert machine.memory.available_bytes == 1_000 * KB


async def test_many_looks_at_a_time_are_one(tmp_path, pynvml):
    async with Sensors(build(tmp_path, boards.DESKTOP), 5.0) as sensors:
        machines = await asyncio.gather(*(sensors.look() for _ in range(20)))
    assert all(each == machines[0] for each in machines)


async def test_in_the_end_libraries_are_let_go(tmp_path, jtop, pynvml):
    async with Sensors(tmp_path, 5.0) as sensors:
        await sensors.look()
        assert (jtop.open_now, pynvml.opened) == (1, 1)
    assert (jtop.open_now, pynvml.opened) == (0, 0)


async def test_in_the_end_no_thread_is_left(tmp_path):
    before = set(threading.enumerate())
    async with Sensors(build(tmp_path, boards.ORIN_NANO), 5.0) as sensors:
        await sensors.look()
        await sensors.sample()
    await until(lambda: set(threading.enumerate()) <= before)


async def test_this_machine_can_be_looked_at():
    async with Sensors() as sensors:
        machine = await sensors.look()
    assert machine.memory.total_bytes > 0


def test_importing_it_loads_no_library_of_a_vendor():
    code = (
        "import sys, orac_core.devices, orac_core.pace; "
        "print(*({'jtop', 'pynvml', 'psutil'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
