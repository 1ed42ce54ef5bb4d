"""What NVML says of a GPU, and what of it is no answer."""

import sys
from types import SimpleNamespace

import pytest
from attrs import define, evolve

from orac_core.devices import Gpu, GpuProcess
from orac_core.devices.nvidia import Nvml
from orac_core.devices.values import Reading

GIB = 1 << 30


class NVMLError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value


NOT_SUPPORTED, LOST, NO_LIBRARY = 3, 15, 12


@define
class FakeNvml:
    """pynvml: functions answer what ``answers`` has for them, or raise it."""

    answers: dict
    opened: int = 0

    def __getattr__(self, name):
        if name not in self.answers:
            raise AttributeError(name)
        return lambda *_: self.answer(name)

    def answer(self, name):
        answer = self.answers[name]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def nvmlInit(self):  # noqa: N802 - its name
        self.opened += 1
        self.answer("init")

    def nvmlShutdown(self):  # noqa: N802 - its name
        self.opened -= 1


RTX = {
    "init": None,
    "nvmlDeviceGetHandleByIndex": object(),
    "nvmlDeviceGetName": "NVIDIA GeForce RTX 4090",
    "nvmlSystemGetCudaDriverVersion": 12060,
    "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=24 * GIB, used=3 * GIB),
    "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=37, memory=5),
    "nvmlDeviceGetTemperature": 61,
    "nvmlDeviceGetPowerUsage": 215_400,
    "nvmlDeviceGetCurrentClocksThrottleReasons": 0x4,
}
WHOLE = Gpu(
    name="NVIDIA GeForce RTX 4090",
    memory_total_bytes=24 * GIB,
    memory_used_bytes=3 * GIB,
    load_ratio=0.37,
    cuda="12.6",
    temperature_c=61.0,
    power_w=215.4,
)


@pytest.fixture
def pynvml(monkeypatch):
    fake = FakeNvml(dict(RTX))
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def test_a_desktop_card_is_told_whole(pynvml):
    reading = Nvml().read()
    assert reading.gpu == WHOLE
    assert reading.device.throttling is False


@pytest.mark.parametrize(
    ("function", "field"),
    [
        ("nvmlDeviceGetName", "name"),
        ("nvmlSystemGetCudaDriverVersion", "cuda"),
        ("nvmlDeviceGetUtilizationRates", "load_ratio"),
        ("nvmlDeviceGetTemperature", "temperature_c"),
        ("nvmlDeviceGetPowerUsage", "power_w"),
    ],
)
@pytest.mark.parametrize("answer", [NVMLError(NOT_SUPPORTED), "N/A", "[N/A]", None, -256, 10**30])
def test_p76_what_nvidia_does_not_support_is_none_for_that_field(pynvml, function, field, answer):
    pynvml.answers[function] = answer
    assert Nvml().read().gpu == evolve(WHOLE, **{field: None})


@pytest.mark.parametrize(
    "memory",
    [
        NVMLError(NOT_SUPPORTED),
        "N/A",
        SimpleNamespace(total="N/A", used="N/A"),
        SimpleNamespace(total=0, used=0),
        SimpleNamespace(total=-1, used=5),
        SimpleNamespace(total=2**64 - 1, used=1),
    ],
)
def test_p76_memory_that_nvidia_calls_not_available_is_none(pynvml, memory):
    pynvml.answers["nvmlDeviceGetMemoryInfo"] = memory
    assert Nvml().read().gpu == evolve(WHOLE, memory_total_bytes=None, memory_used_bytes=None)


def test_more_used_than_there_is_can_not_be(pynvml):
    pynvml.answers["nvmlDeviceGetMemoryInfo"] = SimpleNamespace(total=GIB, used=2 * GIB)
    assert Nvml().read().gpu.memory_used_bytes is None


def test_an_old_driver_lacks_functions(pynvml):
    for name in list(pynvml.answers):
        if name not in {"init", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetName"}:
            del pynvml.answers[name]
    assert Nvml().read() == Reading(gpu=Gpu(name=WHOLE.name))


def test_a_name_may_come_in_bytes(pynvml):
    pynvml.answers["nvmlDeviceGetName"] = b"NVIDIA Thor\0"
    assert Nvml().read().gpu.name == "NVIDIA Thor"


@pytest.mark.parametrize("reason", [0x8, 0x20, 0x40, 0x80])
def test_clocks_lowered_for_heat_or_by_the_board_are_throttling(pynvml, reason):
    pynvml.answers["nvmlDeviceGetCurrentClocksThrottleReasons"] = reason | 0x1
    assert Nvml().read().device.throttling is True


def test_it_is_opened_once_and_closed(pynvml):
    nvml = Nvml()
    for _ in range(3):
        nvml.read()
    assert pynvml.opened == 1
    nvml.close()
    nvml.close()
    assert pynvml.opened == 0


def test_a_gpu_that_was_lost_is_looked_for_again(pynvml):
    nvml = Nvml()
    nvml.read()
    pynvml.answers["nvmlDeviceGetUtilizationRates"] = NVMLError(LOST)
    with pytest.raises(NVMLError):
        nvml.read()
    pynvml.answers.update(RTX)
    assert nvml.read().gpu == WHOLE
    assert pynvml.opened == 2


def test_a_driver_that_is_not_there_is_an_error(pynvml):
    pynvml.answers["init"] = NVMLError(NO_LIBRARY)
    with pytest.raises(NVMLError):
        Nvml().read()


MORE = {
    "nvmlSystemGetDriverVersion": "580.95.05",
    "nvmlDeviceGetClockInfo": 2520,
    "nvmlDeviceGetMaxClockInfo": 3105,
    "nvmlDeviceGetTemperatureThreshold": 90,
    "nvmlDeviceGetEnforcedPowerLimit": 450_000,
    "nvmlDeviceGetComputeRunningProcesses": [
        SimpleNamespace(pid=17, usedGpuMemory=3 * GIB),
        SimpleNamespace(pid=18, usedGpuMemory=None),
        SimpleNamespace(pid="N/A", usedGpuMemory=1),
    ],
    "nvmlSystemGetProcessName": "/usr/bin/llama-server --api-key secret",
}
EVEN_MORE = evolve(
    WHOLE,
    driver="580.95.05",
    frequency_hz=2_520_000_000,
    frequency_max_hz=3_105_000_000,
    temperature_limit_c=90.0,
    power_limit_w=450.0,
    processes=(GpuProcess(17, "llama-server", 3 * GIB), GpuProcess(18, "llama-server")),
)


def test_a_newer_card_tells_clocks_limits_and_who_uses_it_without_their_arguments(pynvml):
    pynvml.answers.update(MORE)
    assert Nvml().read().gpu == EVEN_MORE


@pytest.mark.parametrize(
    ("function", "field"),
    [
        ("nvmlSystemGetDriverVersion", "driver"),
        ("nvmlDeviceGetClockInfo", "frequency_hz"),
        ("nvmlDeviceGetMaxClockInfo", "frequency_max_hz"),
        ("nvmlDeviceGetTemperatureThreshold", "temperature_limit_c"),
        ("nvmlDeviceGetEnforcedPowerLimit", "power_limit_w"),
        ("nvmlDeviceGetComputeRunningProcesses", "processes"),
    ],
)
@pytest.mark.parametrize("answer", [NVMLError(NOT_SUPPORTED), "N/A", None, -256, 10**30, 0])
def test_p76_what_a_newer_card_does_not_tell_is_none(pynvml, function, field, answer):
    pynvml.answers.update(MORE | {function: answer})
    found = Nvml().read().gpu
    assert evolve(found, **{field: None}) == evolve(EVEN_MORE, **{field: None})
    assert getattr(found, field) in {None, "0"}


def test_a_process_that_has_no_name_is_known_by_its_number(pynvml):
    pynvml.answers.update(MORE | {"nvmlSystemGetProcessName": NVMLError(NOT_SUPPORTED)})
    assert GpuProcess(17, None, 3 * GIB) in (Nvml().read().gpu.processes or ())


def test_asked_quickly_it_says_what_changes_fast(pynvml):
    pynvml.answers.update(MORE)
    quick = Nvml().quick().gpu
    assert (quick.load_ratio, quick.power_w, quick.frequency_hz) == (0.37, 215.4, 2_520_000_000)
    assert (quick.memory_total_bytes, quick.processes) == (None, None)
