"""What NVIDIA's management library says of the GPUs; the only import of pynvml."""

from collections.abc import Callable
from pathlib import PurePath
from threading import Lock
from types import ModuleType
from typing import Any

from attrs import define, evolve, field

from .figures import celsius, hertz, name, number, part, ratio, size, watts
from .values import Card, Device, Gpu, GpuProcess, Reading, together

GONE = frozenset({1, 9, 15})
"""NVML_ERROR_UNINITIALIZED, _DRIVER_NOT_LOADED and _GPU_IS_LOST of nvml.h: open it anew."""

THROTTLED = 0x8 | 0x20 | 0x40 | 0x80
"""The reasons HwSlowdown, SwThermalSlowdown, HwThermalSlowdown and HwPowerBrakeSlowdown of nvml.h.

SwPowerCap is not among them: a card at full load works at its cap.
"""


MHZ = 1_000_000

GRAPHICS = 0
"""NVML_CLOCK_GRAPHICS of nvml.h."""

SLOWDOWN = 1
"""NVML_TEMPERATURE_THRESHOLD_SLOWDOWN of nvml.h."""

MOST_PROCESSES = 64
MOST_CARDS = 64


@define(eq=False)
class Nvml:
    """A connection to NVML, opened when first read. Of two threads one waits."""

    _gpu: Any = field(default=None, init=False)
    _fixed: Gpu = field(factory=Gpu, init=False)
    _lock: Lock = field(factory=Lock, init=False)

    def read(self) -> Reading:
        """Return what NVML says now; a field that it can not tell is None.

        Raises:
            Exception: whatever the library raises when it or its driver is not there.
        """
        return self._asked(_whole)

    def quick(self) -> Reading:
        """Return the same without what is dear to ask: memory, limits and processes.

        Raises:
            Exception: as above.
        """
        return self._asked(_quick)

    def close(self) -> None:
        """Let go of the library."""
        with self._lock:
            if self._gpu is None:
                return
            import pynvml  # noqa: PLC0415 - only who asks for the GPU pays for it

            self._gpu = None
            pynvml.nvmlShutdown()

    def _asked(self, question: Callable[[ModuleType, Any], Gpu]) -> Reading:
        import pynvml  # noqa: PLC0415 - as above

        with self._lock:
            try:
                self._opened(pynvml)
                gpu = together(Reading(gpu=self._fixed), Reading(gpu=question(pynvml, self._gpu)))
                return evolve(gpu, device=Device(throttling=_throttling(pynvml, self._gpu)))
            except Exception:
                self._gpu = None
                raise

    def _opened(self, pynvml: ModuleType) -> None:
        if self._gpu is not None:
            return
        pynvml.nvmlInit()
        self._gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
        self._fixed = _lasting(pynvml, self._gpu)


def cards() -> tuple[Card, ...]:
    """Return what NVML says of each GPU now; a field that it can not tell is None.

    Raises:
        Exception: whatever the library raises when it or its driver is not there.
    """
    import pynvml  # noqa: PLC0415 - only who asks for the GPU pays for it

    pynvml.nvmlInit()
    try:
        count = int(pynvml.nvmlDeviceGetCount())
        return tuple(_card(pynvml, index) for index in range(min(count, MOST_CARDS)))
    finally:
        pynvml.nvmlShutdown()


def _card(pynvml: ModuleType, index: int) -> Card:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    said = Reading(gpu=_lasting(pynvml, handle)), Reading(gpu=_whole(pynvml, handle))
    gpu = together(*said).gpu
    total, memory = gpu.memory_total_bytes, _memory(pynvml, handle)
    rates = _ask(pynvml, "nvmlDeviceGetUtilizationRates", handle)
    return Card(
        index,
        name(_ask(pynvml, "nvmlDeviceGetUUID", handle)),
        evolve(gpu, memory_used_bytes=total and part(size(getattr(memory, "used", None)), total)),
        total and part(size(getattr(memory, "free", None)), total),
        total and part(size(getattr(memory, "reserved", None)), total),
        ratio(getattr(rates, "memory", None), 100),
    )


def _memory(pynvml: ModuleType, gpu: object) -> Any:
    """Return the memory with what the driver reserves apart; older drivers count that as used."""
    version = getattr(pynvml, "nvmlMemory_v2", None)
    newer = version and _ask(pynvml, "nvmlDeviceGetMemoryInfo", gpu, version)
    return newer or _ask(pynvml, "nvmlDeviceGetMemoryInfo", gpu)


def _lasting(pynvml: ModuleType, gpu: object) -> Gpu:
    """Return what does not change while the driver is loaded."""
    return Gpu(
        name=name(_ask(pynvml, "nvmlDeviceGetName", gpu)),
        cuda=_cuda(_ask(pynvml, "nvmlSystemGetCudaDriverVersion")),
        driver=name(_ask(pynvml, "nvmlSystemGetDriverVersion")),
    )


def _quick(pynvml: ModuleType, gpu: object) -> Gpu:
    rates = _ask(pynvml, "nvmlDeviceGetUtilizationRates", gpu)
    return Gpu(
        load_ratio=ratio(getattr(rates, "gpu", None), 100),
        temperature_c=_temperature(pynvml, gpu),
        power_w=watts(_ask(pynvml, "nvmlDeviceGetPowerUsage", gpu)),
        frequency_hz=hertz(_ask(pynvml, "nvmlDeviceGetClockInfo", gpu, GRAPHICS), MHZ),
    )


def _whole(pynvml: ModuleType, gpu: object) -> Gpu:
    memory = _ask(pynvml, "nvmlDeviceGetMemoryInfo", gpu)
    total = size(getattr(memory, "total", None)) or None
    used = size(getattr(memory, "used", None)) if total else None
    limit = _ask(pynvml, "nvmlDeviceGetTemperatureThreshold", gpu, SLOWDOWN)
    return evolve(
        _quick(pynvml, gpu),
        memory_total_bytes=total,
        memory_used_bytes=part(used, total),
        frequency_max_hz=hertz(_ask(pynvml, "nvmlDeviceGetMaxClockInfo", gpu, GRAPHICS), MHZ),
        temperature_limit_c=celsius(limit) or None,
        power_limit_w=watts(_ask(pynvml, "nvmlDeviceGetEnforcedPowerLimit", gpu)),
        processes=_processes(pynvml, gpu),
    )


def _processes(pynvml: ModuleType, gpu: object) -> tuple[GpuProcess, ...] | None:
    found = _ask(pynvml, "nvmlDeviceGetComputeRunningProcesses", gpu)
    if not isinstance(found, list | tuple):
        return None
    pids = ((number(getattr(each, "pid", None), 1, 1 << 31), each) for each in found)
    known = [(int(pid), each) for pid, each in pids if pid is not None]
    return tuple(
        GpuProcess(pid, _program(pynvml, pid), size(getattr(each, "usedGpuMemory", None)))
        for pid, each in known[:MOST_PROCESSES]
    )


def _program(pynvml: ModuleType, pid: int) -> str | None:
    # Newer drivers add the arguments, in which there may be anything.
    said = name(_ask(pynvml, "nvmlSystemGetProcessName", pid))
    return None if said is None else name(PurePath(said.split(" ")[0]).name)


def _temperature(pynvml: ModuleType, gpu: object) -> float | None:
    # NVML 13 has the first; drivers before it only the second.
    sensor = getattr(pynvml, "NVML_TEMPERATURE_GPU", 0)
    said = _ask(pynvml, "nvmlDeviceGetTemperatureV", gpu, sensor)
    if said is None:
        said = _ask(pynvml, "nvmlDeviceGetTemperature", gpu, sensor)
    return celsius(said)


def _throttling(pynvml: ModuleType, gpu: object) -> bool | None:
    reasons = _ask(pynvml, "nvmlDeviceGetCurrentClocksThrottleReasons", gpu)
    return bool(reasons & THROTTLED) if isinstance(reasons, int) else None


def _cuda(version: object) -> str | None:
    """Return "12.6" for 12060: 1000 times the major and 10 times the minor version."""
    found = number(version, 1000, 99_999)
    return None if found is None else f"{int(found) // 1000}.{int(found) % 1000 // 10}"


def _ask(pynvml: ModuleType, function: str, *arguments: object) -> Any:
    try:
        return getattr(pynvml, function)(*arguments)
    except Exception as error:
        if getattr(error, "value", None) in GONE:
            raise
        return None  # not supported on this GPU, or not known to this driver
