"""All GPUs that NVML lists, and which of them a program is to see."""

import sys
from types import SimpleNamespace

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from orac_core.devices import Card, Gpu, Sensors, cards, visible
from tests.core.devices import boards
from tests.core.devices.boards import build
from tests.core.devices.test_nvidia import GIB, NO_LIBRARY, NOT_SUPPORTED, FakeNvml, NVMLError

V2 = 33554472


@define
class Rack(FakeNvml):
    """pynvml with several cards: an answer that is a function is asked with the arguments."""

    def __getattr__(self, name):
        if name not in self.answers:
            raise AttributeError(name)
        answer = self.answers[name]
        if callable(answer):
            return answer
        return answer if name == "nvmlMemory_v2" else lambda *_: self.answer(name)


def memory_of(handle, version=None):
    total = (24 + 24 * handle) * GIB
    if version is None:
        return SimpleNamespace(total=total, used=3 * GIB, free=total - 3 * GIB)
    kept = GIB // 2
    free = total - 3 * GIB
    return SimpleNamespace(total=total, used=3 * GIB - kept, free=free, reserved=kept)


TWO = {
    "init": None,
    "nvmlMemory_v2": V2,
    "nvmlDeviceGetCount": 2,
    "nvmlDeviceGetHandleByIndex": lambda index: index,
    "nvmlDeviceGetName": lambda handle: ("RTX 4090", "A6000")[handle],
    "nvmlDeviceGetUUID": lambda handle: f"GPU-{handle}a-77",
    "nvmlSystemGetCudaDriverVersion": 12060,
    "nvmlSystemGetDriverVersion": "580.95.05",
    "nvmlDeviceGetMemoryInfo": memory_of,
    "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=37, memory=5),
}


@pytest.fixture
def pynvml(monkeypatch):
    fake = Rack(dict(TWO))
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


async def test_every_card_is_told_and_what_its_driver_reserves_is_apart(pynvml):
    found = await cards()
    gpu = Gpu("RTX 4090", 24 * GIB, 5 * GIB // 2, 0.37, "12.6", driver="580.95.05")
    assert found.found[0] == Card(0, "GPU-0a-77", gpu, 21 * GIB, GIB // 2, 0.05)
    assert [each.gpu.memory_total_bytes for each in found.found] == [24 * GIB, 48 * GIB]
    assert found.silence == ""


async def test_the_library_is_let_go_of(pynvml):
    await cards()
    assert pynvml.opened == 0


def refuses_the_second_kind(handle, version=None):
    if version is not None:
        raise NVMLError(NOT_SUPPORTED)
    return memory_of(handle)


async def test_an_older_driver_does_not_tell_what_it_reserves(pynvml):
    pynvml.answers["nvmlDeviceGetMemoryInfo"] = refuses_the_second_kind
    first = (await cards()).found[0]
    assert (first.reserved_bytes, first.gpu.memory_used_bytes) == (None, 3 * GIB)


@pytest.mark.parametrize(
    "answer",
    [NVMLError(NOT_SUPPORTED), SimpleNamespace(total="N/A", used="N/A", free=1), None],
)
async def test_p76_a_chip_that_shares_memory_has_none_of_its_own(pynvml, answer):
    pynvml.answers["nvmlDeviceGetMemoryInfo"] = answer
    first = (await cards()).found[0]
    assert (first.gpu.memory_total_bytes, first.free_bytes, first.reserved_bytes) == (None,) * 3


async def test_without_the_library_or_its_driver_there_is_no_card_and_a_reason(pynvml, monkeypatch):
    pynvml.answers["init"] = NVMLError(NO_LIBRARY)
    found = await cards()
    assert (found.found, found.silence) == ((), str(NO_LIBRARY))
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "pynvml" in (await cards()).silence


async def test_sensors_that_ask_only_the_kernel_touch_no_library(pynvml, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jtop", None)
    async with Sensors(build(tmp_path, boards.ORIN_NANO), 5.0, only_kernel=True) as sensors:
        machine, sample = await sensors.look(), await sensors.sample()
    assert (machine.silent, machine.gpu.driver, pynvml.opened) == ({}, None, 0)
    assert machine.gpu.load_ratio == sample.gpu_load_ratio == 0.873


RACK = tuple(Card(number, f"GPU-{number}a-77") for number in range(3))


@pytest.mark.parametrize(
    ("variable", "seen"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("1", [1]),
        ("2, 0", [2, 0]),
        ("0,-1,2", [0]),
        ("0,7,2", [0]),
        ("1,1", [1]),
        ("GPU-2a", [2]),
        ("GPU-9", []),
        ("MIG-GPU-2a/1/0", [0, 1, 2]),
    ],
)
def test_the_variable_names_cards_until_a_word_names_none(variable, seen):
    assert [each.index for each in visible(RACK, variable)] == seen


@given(st.text(alphabet="0123-,GPUMIa ²", max_size=12))
def test_whatever_the_variable_says_no_card_is_made_up_or_told_twice(variable):
    seen = visible(RACK, variable)
    assert set(seen) <= set(RACK)
    assert len(set(seen)) == len(seen)
