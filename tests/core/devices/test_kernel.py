"""The kernel's sensors asked again and again."""

from pathlib import Path

import pytest

from orac_core.devices.kernel import Kernel
from orac_core.devices.nodes import KeptNodes
from tests.core.devices.boards import build, described

CURRENT = "sys/class/hwmon/hwmon1/curr1_input"
TEMPERATURE = "sys/class/thermal/thermal_zone0/temp"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def orin_nano(tmp_path):
    return build(tmp_path, described("orin-nano")["files"])


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def kernel(orin_nano, clock):
    kernel = Kernel(orin_nano, clock)
    yield kernel
    kernel.close()


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_power_is_read_each_time_and_temperatures_once_a_second(kernel, orin_nano, clock):
    kernel.read()
    clock.now += 0.1
    (orin_nano / CURRENT).write_text("2000\n")
    (orin_nano / TEMPERATURE).write_text("60000\n")
    device = kernel.read().device
    assert (device.power_w, device.temperatures["cpu"]) == (10.0, 48.5)
    clock.now += 0.9
    assert kernel.read().device.temperatures["cpu"] == 60.0


def test_files_stay_open_and_no_more_of_them_with_each_reading(kernel, clock):
    kernel.read()
    before = open_files()
    for _ in range(50):
        clock.now += 0.7
        kernel.read()
    assert open_files() == before


def test_closed_it_holds_no_file_and_can_be_read_again(orin_nano, clock):
    before = open_files()
    kernel = Kernel(orin_nano, clock)
    kernel.read()
    assert open_files() > before
    kernel.close()
    assert open_files() == before
    assert kernel.read().device.power_w == 7.34
    kernel.close()


def test_a_sensor_that_comes_later_is_found_within_a_minute(tmp_path, clock):
    kernel = Kernel(tmp_path, clock)
    assert kernel.read().device.power_w is None
    build(tmp_path, described("orin-nano")["files"])
    clock.now += 61
    assert kernel.read().device.power_w == 7.34
    kernel.close()


def test_a_file_that_has_gone_says_nothing_and_is_let_go(tmp_path):
    nodes, path = KeptNodes(), tmp_path / "temp"
    path.write_text("1\n")
    before = open_files()
    assert nodes.whole(path) == 1
    assert nodes.text(tmp_path) == ""
    assert nodes.whole(tmp_path / "nothing") is None
    nodes.close()
    assert open_files() == before
