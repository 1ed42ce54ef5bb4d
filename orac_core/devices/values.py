"""What is known of a machine at one moment. None stands wherever nothing and nobody says it."""

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import evolve, field, fields, frozen

T = TypeVar("T", "Memory", "Gpu", "Device")


@frozen
class Memory:
    """The memory of the CPU, in bytes.

    Attributes:
        total_bytes: All of it.
        available_bytes: What programs can have without swapping, page cache given back.
        free_bytes: What nothing uses, not even the page cache.
        page_cache_bytes: What the kernel keeps of files, as free(1) counts it.
        unified: Whether the GPU uses this same memory.
        swap_total_bytes: Size of the swap; 0 where there is none.
        swap_free_bytes: What is not used of it.
        swapped_in_bytes: Read back from swap since the machine started.
        swapped_out_bytes: Written to swap since the machine started.
        limit_bytes: What the control groups of this process let it use; None when all.
        limit_available_bytes: What is left of that, page cache given back.
    """

    total_bytes: int | None = None
    available_bytes: int | None = None
    free_bytes: int | None = None
    page_cache_bytes: int | None = None
    unified: bool | None = None
    swap_total_bytes: int | None = None
    swap_free_bytes: int | None = None
    swapped_in_bytes: int | None = None
    swapped_out_bytes: int | None = None
    limit_bytes: int | None = None
    limit_available_bytes: int | None = None


@frozen
class GpuProcess:
    """A process that uses the GPU.

    Attributes:
        pid: Its number.
        name: Of its program, without the folder and the arguments.
        memory_bytes: What it has of the GPU's memory.
    """

    pid: int
    name: str | None = None
    memory_bytes: int | None = None


@frozen
class Limits:
    """How hot a sensor may get.

    Attributes:
        passive_c: From here on clocks are lowered.
        critical_c: Here the machine turns itself off.
    """

    passive_c: float | None = None
    critical_c: float | None = None


@frozen
class Power:
    """The power of as much of the machine as is measured.

    Attributes:
        watts: How much.
        source: What measures it: a rail of the board (``VDD_IN``), several (``A + B``), ``jtop``,
            ``NVML`` (the GPU), ``RAPL package`` (the CPU), ``battery``.
    """

    watts: float
    source: str


@frozen
class Gpu:
    """The first GPU.

    Attributes:
        name: What its driver calls it.
        memory_total_bytes: Memory of its own; None where it shares that of the CPU.
        memory_used_bytes: What is in use; with shared memory, what the GPU has of that.
        load_ratio: Share of the time in which it worked, 0 to 1.
        cuda: Newest version of CUDA that the driver can do.
        temperature_c: Its temperature.
        power_w: What it takes.
        frequency_hz: Its clock.
        frequency_max_hz: The highest that it may have; on a Jetson the power mode decides.
        temperature_limit_c: From here on it lowers its clock.
        power_limit_w: The most that it is let take.
        driver: Version of its driver.
        processes: Who uses it; None where that is not known.
    """

    name: str | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    load_ratio: float | None = None
    cuda: str | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    frequency_hz: int | None = None
    frequency_max_hz: int | None = None
    temperature_limit_c: float | None = None
    power_limit_w: float | None = None
    driver: str | None = None
    processes: tuple[GpuProcess, ...] | None = None


@frozen
class Card:
    """One of the GPUs that NVML lists, whatever ``CUDA_VISIBLE_DEVICES`` says.

    Attributes:
        index: Its number, in the order of the PCI bus.
        uuid: What tells it from every other: ``GPU-…``.
        gpu: What NVML says of it; without memory of its own where it shares that of the CPU.
        free_bytes: What nothing uses of its memory.
        reserved_bytes: What the driver keeps of it for itself; not in what is used.
        memory_load_ratio: Share of the time in which its memory was read or written, 0 to 1.
    """

    index: int
    uuid: str | None = None
    gpu: Gpu = Gpu()
    free_bytes: int | None = None
    reserved_bytes: int | None = None
    memory_load_ratio: float | None = None


@frozen
class Device:
    """The board.

    Attributes:
        board: Its name: ``NVIDIA Jetson Orin Nano …``.
        jetpack: Version of JetPack, or ``L4T …`` where only that of the Linux below it is known.
        power_mode: Name of the power mode: ``15W``, ``MAXN`` …
        jetson_clocks: Whether all clocks are held at their highest.
        temperatures: Degrees Celsius by sensor; None for one that is offline.
        temperature_limits: Limits by sensor, where the kernel has any.
        power_w: What the whole board takes.
        rails_w: Watts by rail, energy counter and battery; None for one that says nothing now.
        power: The power that says most of the machine, with its source.
        throttling: Whether clocks are lowered now, for heat or for power.
        over_current_events: How often each over-current alert came since the machine started.
        cpu_load_ratio: Share of the time since the look before in which the CPU worked, 0 to 1.
        cpu_frequency_hz: The highest clock of all cores. Some boards tell the one that was asked
            for while the hardware holds a lower one.
        cpu_frequency_max_hz: The highest that the hardware can do.
    """

    board: str | None = None
    jetpack: str | None = None
    power_mode: str | None = None
    jetson_clocks: bool | None = None
    temperatures: Mapping[str, float | None] = field(factory=dict)
    temperature_limits: Mapping[str, Limits] = field(factory=dict)
    power_w: float | None = None
    rails_w: Mapping[str, float | None] = field(factory=dict)
    power: Power | None = None
    throttling: bool | None = None
    over_current_events: Mapping[str, int] = field(factory=dict)
    cpu_load_ratio: float | None = None
    cpu_frequency_hz: int | None = None
    cpu_frequency_max_hz: int | None = None


@frozen
class Reading:
    """What one source says."""

    memory: Memory = Memory()
    gpu: Gpu = Gpu()
    device: Device = Device()


@frozen
class Machine:
    """What all sources together say.

    Attributes:
        memory: The memory of the CPU.
        gpu: The first GPU; None when nothing is known of any.
        device: The board; None when nothing is known of it.
        silent: Why a source says nothing, by its name: ``jtop``, ``nvml``, ``linux``.
    """

    memory: Memory = Memory()
    gpu: Gpu | None = None
    device: Device | None = None
    silent: Mapping[str, str] = field(factory=dict)


def together(*readings: Reading) -> Reading:
    """Return for each field what the first of *readings* says that knows it."""
    return Reading(
        _first_known(*(each.memory for each in readings)),
        _first_known(*(each.gpu for each in readings)),
        _first_known(*(each.device for each in readings)),
    )


def throttling(*devices: Device) -> bool | None:
    """Whether any says so: NVML knows of the GPU only, the kernel of its own alerts only."""
    said = [each.throttling for each in devices if each.throttling is not None]
    return any(said) if said else None


def _first_known(first: T, *others: T) -> T:
    lacking = [each.name for each in fields(type(first)) if _is_nothing(getattr(first, each.name))]
    said = {name: [getattr(each, name) for each in others] for name in lacking}
    known: dict[str, Any] = {
        name: next(each for each in found if not _is_nothing(each))
        for name, found in said.items()
        if not all(map(_is_nothing, found))
    }
    return evolve(first, **known)


def _is_nothing(value: object) -> bool:
    return value is None or value == {}
