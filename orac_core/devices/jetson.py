"""What jtop (jetson-stats) says of a Jetson; the only import of jtop, which is optional.

jtop talks to a service with root's rights that reads the board once a second. Client and service
must have the same version up to the second number. Its figures: memory in KB, power in milliwatts,
frequencies in kHz, load in percent, and -256 °C for a sensor that is offline. On boards that it
does not know yet ``gpu`` is empty and keys are missing.
"""

from contextlib import suppress
from typing import Any

from attrs import define, field

from .figures import celsius, hertz, name, part, ratio, size, watts
from .values import Device, Gpu, Memory, Reading

INTERVAL_S = 1.0
"""How often jtop reads the board; it is the pace of its service, too."""

KB = 1024
KHZ = 1000


@define(eq=False)
class Jtop:
    """A connection to jtop's service, opened when first read. Not for two threads at a time."""

    _jetson: Any = field(default=None, init=False)
    _hardware: Any = field(default=None, init=False)

    def read(self) -> Reading:
        """Return what jtop said last; it reads by itself, once a second.

        Raises:
            Exception: whatever jtop raises: it is not installed, its service does not run or has
                another version, this user may not ask it …
        """
        try:
            self._connect()
            if not self._jetson.ok(spin=True):
                raise ConnectionError("jtop has stopped")  # noqa: TRY301 - as if ok() raised
            return _reading(self._jetson, self._hardware)
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection."""
        jetson, self._jetson = self._jetson, None
        if jetson is not None:
            with suppress(Exception):
                jetson.close()

    def _connect(self) -> None:
        if self._jetson is not None:
            return
        from jtop import jtop  # noqa: PLC0415 - optional, and only a Jetson has it

        jetson = jtop(interval=INTERVAL_S)
        jetson.start()
        self._jetson = jetson
        self._hardware = _dig(_of(jetson, "board"), "hardware")


def _reading(jetson: object, hardware: object) -> Reading:
    memory = _of(jetson, "memory")
    ram = _dig(memory, "RAM")
    return Reading(
        memory=_memory(ram, _dig(memory, "SWAP")),
        gpu=_gpu(_of(jetson, "gpu"), ram),
        device=_device(jetson, hardware),
    )


def _memory(ram: object, swap: object) -> Memory:
    total = size(_dig(ram, "tot"), KB) or None
    swap_total = size(_dig(swap, "tot"), KB)
    used = part(size(_dig(swap, "used"), KB), swap_total)
    return Memory(
        total_bytes=total,
        free_bytes=part(size(_dig(ram, "free"), KB), total),
        page_cache_bytes=part(size(_dig(ram, "cached"), KB), total),
        swap_total_bytes=swap_total,
        swap_free_bytes=None if swap_total is None or used is None else swap_total - used,
    )


def _gpu(gpus: object, ram: object) -> Gpu:
    # 0 stands for "the kernel does not say" in this place.
    shared = part(size(_dig(ram, "shared"), KB), size(_dig(ram, "tot"), KB)) or None
    for key, gpu in _items(gpus):
        return Gpu(
            name=name(key),
            memory_used_bytes=shared,
            load_ratio=_load(gpu),
            frequency_hz=hertz(_dig(gpu, "freq", "cur"), KHZ),
            frequency_max_hz=hertz(_dig(gpu, "freq", "max"), KHZ),
        )
    return Gpu(memory_used_bytes=shared)


def _load(gpu: object) -> float | None:
    load = ratio(_dig(gpu, "status", "load"), 100)
    # Where jtop itself asks NVML, it makes a 0 of a load that NVML can not tell.
    return load or None if _dig(gpu, "power_control") == "nvml" else load


def _device(jetson: object, hardware: object) -> Device:
    sensors = _items(_of(jetson, "temperature"))
    power = _of(jetson, "power")
    now, most = _cpu(_dig(_of(jetson, "cpu"), "cpu"))
    return Device(
        board=name(_dig(hardware, "Model")),
        jetpack=name(_dig(hardware, "Jetpack")),
        power_mode=name(_of(_of(jetson, "nvpmodel"), "name")),
        jetson_clocks=_held(_of(jetson, "jetson_clocks")),
        temperatures={str(key): _temperature(sensor) for key, sensor in sensors},
        power_w=watts(_dig(power, "tot", "power")),
        rails_w=_rails(power),
        cpu_frequency_hz=now,
        cpu_frequency_max_hz=most,
    )


def _rails(power: object) -> dict[str, float | None]:
    """Return the watts of each rail; that of the whole board stands apart, with its name."""
    rails = {name(key): rail for key, rail in _items(_dig(power, "rail"))}
    whole = name(_dig(power, "tot", "name"))
    if whole is not None:
        rails[whole] = _dig(power, "tot")
    return {
        key: None if _dig(rail, "online") is False else watts(_dig(rail, "power"))
        for key, rail in rails.items()
        if key is not None
    }


def _cpu(cores: object) -> tuple[int | None, int | None]:
    """Return the highest clock of all cores, now and at most."""
    if not isinstance(cores, list):
        return None, None
    freqs = [_dig(core, "freq") for core in cores[:1024]]
    now, most = ([hertz(_dig(each, key), KHZ) for each in freqs] for key in ("cur", "max"))
    return max(filter(None, now), default=None), max(filter(None, most), default=None)


def _temperature(sensor: object) -> float | None:
    return None if _dig(sensor, "online") is False else celsius(_dig(sensor, "temp"))


def _held(clocks: object) -> bool | None:
    """Return whether *clocks*, jtop's own type, equals True or False."""
    return next((each for each in (True, False) if clocks == each), None)


def _items(value: Any) -> list[tuple[object, Any]]:
    try:
        return list(value.items())
    except Exception:  # noqa: BLE001 - jtop's own types, None, or whatever its service sent
        return []


def _of(value: object, attribute: str) -> Any:
    """Return the *attribute* of *value*, None when it has none."""
    try:
        return getattr(value, attribute)
    except Exception:  # noqa: BLE001 - jtop's properties raise KeyError where a board lacks them
        return None


def _dig(value: Any, *keys: str) -> Any:
    """Return what lies in *value* under *keys*, None when it is not there."""
    try:
        for key in keys:
            value = value[key]
    except Exception:  # noqa: BLE001 - jtop's own types, None, or whatever its service sent
        return None
    return value
