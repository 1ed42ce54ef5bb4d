"""What only two readings tell: load of the CPU, and power from energy counters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core.devices.meter import Meter, drawn
from tests.core.devices.boards import build, described

PACKAGE = "sys/class/powercap/intel-rapl:0/energy_uj"


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def laptop(tmp_path):
    return build(tmp_path, described("laptop")["files"])


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def meter(laptop, clock):
    return Meter(laptop, clock=clock)


def test_at_first_nothing_is_known(meter):
    assert (meter.read().cpu_load_ratio, meter.read().rails_w) == (None, {})


def test_the_load_is_what_was_neither_idle_nor_waiting_for_a_disk(meter, laptop, clock):
    meter.read()
    clock.now += 1
    (laptop / "proc/stat").write_text("cpu  1050 10 525 80050 515 0 100 0 7 7\n")
    assert meter.read().cpu_load_ratio == 0.5


def test_the_power_of_a_package_is_what_its_counter_went_up_in_a_second(meter, laptop, clock):
    meter.read()
    clock.now += 0.5
    (laptop / PACKAGE).write_text(f"{262_143_000_000 + 200_000}\n")
    assert meter.read().rails_w == {"RAPL package 0": 0.4}


def test_a_counter_that_began_anew_has_gone_on(meter, laptop, clock):
    meter.read()
    clock.now += 1
    (laptop / PACKAGE).write_text("671150\n")
    assert meter.read().rails_w == {"RAPL package 0": pytest.approx(1.0)}


def test_asked_again_at_once_it_says_the_same(meter, laptop, clock):
    meter.read()
    clock.now += 1
    (laptop / PACKAGE).write_text("671150\n")
    first = meter.read()
    clock.now += 0.001
    (laptop / PACKAGE).write_text("900000\n")
    assert meter.read() == first


def test_a_counter_that_only_root_may_read_is_none(laptop, clock):
    (laptop / PACKAGE).unlink()
    meter = Meter(laptop, clock=clock)
    meter.read()
    clock.now += 1
    assert meter.read().rails_w == {}


@given(
    st.integers(0, 10**12),
    st.integers(0, 10**12),
    st.integers(1, 10**12),
    st.floats(0.01, 3600),
)
def test_however_a_counter_goes_on_or_begins_anew_it_tells_the_energy(start, used, spare, seconds):
    wraps_at = max(start, used) + spare
    watts = drawn(start % wraps_at, (start + used) % wraps_at, wraps_at, seconds)
    expected = used / 1e6 / seconds
    if expected == 0 or expected > 10_000:
        assert watts is None
    else:
        assert watts == pytest.approx(expected)
