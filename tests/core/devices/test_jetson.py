"""What jtop says of a Jetson, and the many ways in which it does not."""

import sys
from types import SimpleNamespace

import pytest

from orac_core.devices import Device, Gpu, Memory
from orac_core.devices.jetson import Jtop
from orac_core.devices.values import Reading

KB = 1024


class JtopException(Exception):
    """As jtop's own."""


class Lacking:
    """A part of jtop whose keys are missing."""

    def __getitem__(self, key):
        raise KeyError(key)

    def items(self):
        raise KeyError("load")


def orin(**other):
    """Return what an Orin says through jtop, in jtop's units."""
    said = {
        "board": {
            "hardware": {"Model": "NVIDIA Jetson Orin Nano Developer Kit", "Jetpack": "6.2"},
            "platform": {},
        },
        "memory": {
            "RAM": {"tot": 7_802_000, "free": 700_000, "cached": 4_210_000, "shared": 1_048_576},
            "SWAP": {"tot": 3_900_000, "used": 900_000},
        },
        "gpu": {
            "gpu": {
                "type": "integrated",
                "status": {"load": 87.3, "3d_scaling": True},
                "freq": {"cur": 918_000, "max": 1_020_000},
                "power_control": "auto",
            }
        },
        "temperature": {
            "cpu": {"temp": 48.5, "online": True},
            "cv0": {"temp": -256, "online": False},
            "tj": {"temp": -256},
            "nvme Composite": {"temp": "N/A", "online": True},
        },
        "power": {"rail": {}, "tot": {"power": 7_340, "avg": 7_000}},
        "nvpmodel": SimpleNamespace(name="MAXN_SUPER", id=2),
        "jetson_clocks": False,
    }
    return said | other


class FakeJtop:
    """jtop.jtop: a thread, to be started and closed, with properties."""

    said: dict
    fault: Exception | None
    running: bool
    open_now: int

    def __init__(self, interval):
        assert interval == 1.0

    def start(self):
        if self.fault:
            raise self.fault
        type(self).open_now += 1

    def ok(self, *, spin):
        assert spin, "it would block"
        return self.running

    def close(self):
        type(self).open_now -= 1

    def __getattr__(self, name):
        return self.said[name]


def fresh():
    """Return a jtop of its own for each test."""
    more = {"said": orin(), "fault": None, "running": True, "open_now": 0}
    return type("jtop", (FakeJtop,), more)


@pytest.fixture
def jtop(monkeypatch):
    fake = fresh()
    monkeypatch.setitem(sys.modules, "jtop", SimpleNamespace(jtop=fake))
    return fake


def test_an_orin_is_told_whole_in_seconds_bytes_and_watts(jtop):
    assert Jtop().read() == Reading(
        Memory(
            total_bytes=7_802_000 * KB,
            free_bytes=700_000 * KB,
            page_cache_bytes=4_210_000 * KB,
            swap_total_bytes=3_900_000 * KB,
            swap_free_bytes=3_000_000 * KB,
        ),
        Gpu(
            name="gpu",
            memory_used_bytes=1 << 30,
            load_ratio=0.873,
            frequency_hz=918_000_000,
            frequency_max_hz=1_020_000_000,
        ),
        Device(
            board="NVIDIA Jetson Orin Nano Developer Kit",
            jetpack="6.2",
            power_mode="MAXN_SUPER",
            jetson_clocks=False,
            temperatures={"cpu": 48.5, "cv0": None, "tj": None, "nvme Composite": None},
            power_w=7.34,
        ),
    )


def test_p76_a_sensor_at_minus_256_is_none(jtop):
    assert Jtop().read().device.temperatures["tj"] is None


@pytest.mark.parametrize("gpu", [{}, None, "N/A", Lacking(), {"gpu": {}}, {"gpu": None}])
def test_p76_a_thor_whose_gpu_is_empty_has_no_load_and_no_clock(jtop, gpu):
    jtop.said = orin(gpu=gpu)
    reading = Jtop().read()
    assert (reading.gpu.load_ratio, reading.gpu.frequency_hz) == (None, None)
    assert reading.device.power_w == 7.34


@pytest.mark.parametrize("part", orin())
@pytest.mark.parametrize("answer", [None, {}, "N/A", Lacking(), [], -1, b"\xff"])
def test_p76_a_part_that_is_missing_or_strange_does_not_hide_the_others(jtop, part, answer):
    jtop.said = orin(**{part: answer})
    reading = Jtop().read()
    known = [reading.device.power_mode, reading.device.power_w, reading.memory.total_bytes]
    assert sum(each is not None for each in known) >= 2
    assert reading.device.jetson_clocks in {None, False}


def test_p76_nothing_at_all_is_nothing(jtop):
    jtop.said = {}
    assert Jtop().read() == Reading()


def test_a_load_of_0_is_no_answer_where_jtop_made_it_of_an_error(jtop):
    status = {"status": {"load": 0.0}, "freq": {"cur": 0}, "power_control": "nvml"}
    jtop.said = orin(gpu={"Thor": status})
    assert Jtop().read().gpu == Gpu(name="Thor", memory_used_bytes=1 << 30)


def test_a_sensor_that_is_offline_has_no_temperature_whatever_it_says(jtop):
    jtop.said = orin(temperature={"cv0": {"temp": 40.0, "online": False}})
    assert Jtop().read().device.temperatures == {"cv0": None}


def test_an_idle_gpu_has_a_load_of_0(jtop):
    jtop.said = orin(gpu={"gpu": {"status": {"load": 0.0}}})
    assert Jtop().read().gpu.load_ratio == 0


@pytest.mark.parametrize(
    "fault",
    [
        JtopException("The jtop.service is not active. Please run:\nsudo jtop --install-service"),
        JtopException("Mismatch version jtop service: [4.2.12] and client: [4.3.2]."),
        PermissionError(13, "denied"),
        KeyError("load"),
    ],
)
def test_a_service_that_can_not_be_used_is_an_error_and_leaves_nothing_open(jtop, fault):
    jtop.fault = fault
    with pytest.raises(type(fault)):
        Jtop().read()
    assert jtop.open_now == 0


def test_p76_jtop_absent_is_an_error_of_the_import(monkeypatch):
    monkeypatch.setitem(sys.modules, "jtop", None)
    with pytest.raises(ImportError):
        Jtop().read()


def test_it_is_connected_once_and_closed(jtop):
    reader = Jtop()
    for _ in range(3):
        reader.read()
    assert jtop.open_now == 1
    reader.close()
    reader.close()
    assert jtop.open_now == 0


def test_a_connection_that_has_ended_is_closed_and_made_again(jtop):
    reader = Jtop()
    reader.read()
    jtop.running = False
    with pytest.raises(ConnectionError):
        reader.read()
    assert jtop.open_now == 0
    jtop.running = True
    assert reader.read().device.power_w == 7.34
