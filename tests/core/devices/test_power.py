"""Which of many measured powers says most of the machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core.devices import Power
from orac_core.devices.power import best, board

NANO = {"VDD_IN": 7.3, "VDD_SOC": 1.5, "VDD_CPU_GPU_CV": 2.0}
AGX = {"VDD_GPU_SOC": 20.0, "VDD_CPU_CV": 6.0, "VIN_SYS_5V0": 4.5, "VDDQ_VDD2_1V8AO": 1.0}
LAPTOP = {"RAPL package 0": 8.0, "battery BAT0": 12.0}


@pytest.mark.parametrize(
    ("powers", "expected"),
    [
        (NANO, Power(7.3, "VDD_IN")),
        (AGX, Power(30.5, "VDD_CPU_CV + VDD_GPU_SOC + VIN_SYS_5V0")),
        (AGX | {"VIN": 40.0}, Power(40.0, "VIN")),
        (AGX | {"VDD_CPU_CV": None}, None),
        (AGX | {"jtop": 31.5}, Power(30.5, "VDD_CPU_CV + VDD_GPU_SOC + VIN_SYS_5V0")),
        ({"VIN_SYS_5V0": 4.5}, Power(4.5, "VIN_SYS_5V0")),
        ({"VDD_GPU_SOC": 20.0}, None),
        ({"jtop": 31.5, "NVML": 20.0}, Power(31.5, "jtop")),
        (LAPTOP, Power(8.0, "RAPL package")),
        (LAPTOP | {"NVML": 60.0}, Power(60.0, "NVML")),
        ({"RAPL package 0": 8.0, "RAPL package 1": 9.0}, Power(17.0, "RAPL package")),
        ({"battery BAT0": 12.0}, Power(12.0, "battery")),
        ({"VDD_IN": 0.0, "NVML": None}, None),
        ({}, None),
    ],
)
def test_the_whole_board_comes_before_the_gpu_the_cpu_and_the_battery(powers, expected):
    assert best(powers) == expected


NAMES = st.sampled_from([*NANO, *AGX, *LAPTOP, "VIN", "NVML", "jtop", "PPT"])


@given(st.dictionaries(NAMES, st.none() | st.floats(0, 10_000)))
def test_it_is_never_nothing_nor_more_than_all_together(powers):
    for found in (board(powers), best(powers)):
        known = sum(each for each in powers.values() if each is not None)
        assert found is None or 0 < found.watts <= known + 1e-6
