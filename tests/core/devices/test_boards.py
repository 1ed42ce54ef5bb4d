"""Each described board, read by everything that reads."""

import pytest
from attrs import asdict

from orac_core.devices import Limits, Power, Sensors
from orac_core.devices.jetson import Jtop
from tests.core.devices.boards import DESCRIBED, build, described
from tests.core.devices.test_hostile import assert_sane
from tests.core.devices.test_jetson import JtopException

pytestmark = pytest.mark.usefixtures("nothing_of_this_machine")


@pytest.fixture
def look(tmp_path):
    async def look(board):
        root = build(tmp_path / board, described(board)["files"])
        async with Sensors(root, 5.0) as sensors:
            await sensors.look()
            return await sensors.look(), await sensors.sample()

    return look


@pytest.mark.parametrize("with_jtop", [True, False])
@pytest.mark.parametrize("board", DESCRIBED)
async def test_every_board_is_read_whole_and_what_it_lacks_is_none(look, jtop, board, with_jtop):
    jtop.said = described(board).get("jtop", {})
    jtop.fault = None if with_jtop else JtopException("The jtop.service is not active.")
    machine, sample = await look(board)
    assert machine.memory.total_bytes > 0
    assert set(machine.silent) == {"nvml"} | (set() if with_jtop else {"jtop"})
    for watts in [*sample.power_w.values(), *machine.device.rails_w.values()]:
        assert watts is None or watts >= 0
    figures = [asdict(machine.device)[key] for key in ("power_w", "cpu_frequency_hz")]
    assert not any(each == 0 for each in figures)


@pytest.mark.parametrize("board", [each for each in DESCRIBED if "jtop" in described(each)])
def test_jtop_of_every_board_says_what_can_be_true(jtop, board):
    jtop.said = described(board)["jtop"]
    assert_sane(Jtop().read())


async def test_an_orin_nano_measures_its_input_and_knows_its_limits(look):
    device = (await look("orin-nano"))[0].device
    assert device.power == Power(7.34, "VDD_IN")
    assert device.power_w == 7.34
    assert device.rails_w == {"VDD_IN": 7.34, "VDD_CPU_GPU_CV": 2.0, "VDD_SOC": 0.0}
    assert device.temperature_limits == {"cpu": Limits(99.0, 104.5)}
    assert device.over_current_events == {"oc1": 0, "oc3": 12}
    assert (device.cpu_frequency_hz, device.cpu_frequency_max_hz) == (1_344_000_000, 1_510_400_000)


async def test_an_orin_nano_through_jtop_says_the_same(look, jtop):
    jtop.said = described("orin-nano")["jtop"]
    machine, _ = await look("orin-nano")
    assert machine.device.power == Power(7.34, "VDD_IN")
    assert Jtop().read().device.rails_w["VDD_SOC"] is None  # it is offline
    assert machine.device.rails_w == {"VDD_IN": 7.34, "VDD_CPU_GPU_CV": 2.0, "VDD_SOC": 0.0}
    assert machine.gpu.frequency_max_hz == 1_020_000_000
    assert machine.device.cpu_frequency_hz == 729_600_000


async def test_a_sample_of_an_orin_nano_has_all_that_changes(look):
    sample = (await look("orin-nano"))[1]
    assert (sample.gpu_load_ratio, sample.gpu_frequency_hz) == (0.873, 918_000_000)
    assert (sample.hottest, sample.hottest_c) == ("cpu", 48.5)
    assert sample.power == Power(7.34, "VDD_IN")
    assert (sample.throttling, sample.over_current_events) == (False, 12)
    assert sample.memory_available_bytes == 5_000_000 * 1024
    assert sample.swapped_out_bytes > sample.swapped_in_bytes > 0


@pytest.mark.parametrize("with_jtop", [True, False])
async def test_an_agx_orin_takes_what_goes_into_the_module(look, jtop, with_jtop):
    jtop.said = described("agx-orin")["jtop"] if with_jtop else {}
    device = (await look("agx-orin"))[0].device
    assert device.power == Power(30.5, "VDD_CPU_CV + VDD_GPU_SOC + VIN_SYS_5V0")
    assert device.power_w == 30.5
    assert "NC" not in device.rails_w
    assert device.throttling is True


@pytest.mark.parametrize("with_jtop", [True, False])
async def test_p76_a_thor_measures_its_input_whatever_jtop_says(look, jtop, with_jtop):
    jtop.said = described("thor")["jtop"] if with_jtop else {}
    machine, sample = await look("thor")
    assert (sample.power, machine.device.power) == (Power(40.0, "VIN"), Power(40.0, "VIN"))
    assert machine.gpu.frequency_max_hz == 1_692_000_000
    assert machine.gpu.load_ratio is None


async def test_a_laptop_has_a_battery_and_clocks_and_no_board(look):
    machine, _ = await look("laptop")
    assert machine.device.power_w is None
    assert machine.device.power == Power(12.5, "battery")
    assert machine.device.rails_w["battery BAT0"] == 9.5
    assert "battery BAT2" not in machine.device.rails_w
    assert machine.device.cpu_frequency_hz == 2_800_000_000
    assert machine.device.temperature_limits == {}


async def test_p76_sensors_that_say_nonsense_say_nothing(look):
    machine, sample = await look("sensors-missing")
    device = machine.device
    assert (device.power, device.power_w, sample.power) == (None, None, None)
    assert set(device.rails_w.values()) == {None}
    assert (device.over_current_events, device.temperature_limits) == ({}, {})
    assert (device.cpu_load_ratio, device.cpu_frequency_hz) == (None, None)
    assert (machine.gpu.load_ratio, machine.gpu.frequency_hz) == (None, None)
    assert (sample.hottest, sample.hottest_c) == (None, None)
