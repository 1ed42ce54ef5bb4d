"""What NVIDIA's management library says of the first GPU; the only import of pynvml."""

from types import ModuleType
from typing import Any

from attrs import define, evolve, field

from .figures import celsius, name, number, part, ratio, size, watts
from .values import Device, Gpu, Reading

GONE = frozenset({1, 9, 15})
"""NVML_ERROR_UNINITIALIZED, _DRIVER_NOT_LOADED and _GPU_IS_LOST of nvml.h: open it anew."""

THROTTLED = 0x8 | 0x20 | 0x40 | 0x80
"""The reasons HwSlowdown, SwThermalSlowdown, HwThermalSlowdown and HwPowerBrakeSlowdown of nvml.h.

SwPowerCap is not among them: a card at full load works at its cap.
"""


@define(eq=False)
class Nvml:
    """A connection to NVML, opened when first read. Not for two threads at a time."""

    _gpu: Any = field(default=None, init=False)
    _fixed: Gpu = field(factory=Gpu, init=False)

    def read(self) -> Reading:
        """Return what NVML says now; a field that it can not tell is None.

        Raises:
            Exception: whatever the library raises when it or its driver is not there.
        """
        import pynvml  # noqa: PLC0415 - only who asks for the GPU pays for it

        try:
            if self._gpu is None:
                self._open(pynvml)
            return Reading(
                gpu=_gpu(pynvml, self._gpu, self._fixed),
                device=Device(throttling=_throttling(pynvml, self._gpu)),
            )
        except Exception:
            self._gpu = None
            raise

    def close(self) -> None:
        """Let go of the library."""
        if self._gpu is None:
            return
        import pynvml  # noqa: PLC0415 - as above

        self._gpu = None
        pynvml.nvmlShutdown()

    def _open(self, pynvml: ModuleType) -> None:
        pynvml.nvmlInit()
        self._gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
        self._fixed = Gpu(
            name=name(_ask(pynvml, "nvmlDeviceGetName", self._gpu)),
            cuda=_cuda(_ask(pynvml, "nvmlSystemGetCudaDriverVersion")),
        )


def _gpu(pynvml: ModuleType, gpu: object, fixed: Gpu) -> Gpu:
    memory = _ask(pynvml, "nvmlDeviceGetMemoryInfo", gpu)
    total = size(getattr(memory, "total", None)) or None
    used = size(getattr(memory, "used", None)) if total else None
    rates = _ask(pynvml, "nvmlDeviceGetUtilizationRates", gpu)
    return evolve(
        fixed,
        memory_total_bytes=total,
        memory_used_bytes=part(used, total),
        load_ratio=ratio(getattr(rates, "gpu", None), 100),
        temperature_c=_temperature(pynvml, gpu),
        power_w=watts(_ask(pynvml, "nvmlDeviceGetPowerUsage", gpu)),
    )


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
