"""What is known of a model and its machine when its answers are slow, and when they were not.

None stands wherever nothing and nobody says it. Bytes, seconds, hertz, degrees Celsius; ratios are
0 to 1.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from statistics import median

from attrs import evolve, field, frozen

from ..devices import Device, Gpu, Memory


@frozen
class Process:
    """A process that has memory which the model could have.

    Attributes:
        name: What it is called.
        pid: Its number.
        bytes: What it has; on a GPU with memory of its own, of that.
    """

    name: str
    pid: int | None = None
    bytes: int | None = None


@frozen
class Snapshot:
    """What is known of a model and its machine around one answer.

    Attributes:
        on_gpu_ratio: Share of the model on the GPU.
        size_bytes: What the model takes in memory, by its engine.
        gpu_bytes: What of that is on the GPU.
        engine_sees_gpu: Whether the engine lists a GPU.
        engine_version: Version of the engine.
        context_length: Context that was asked for at the load.
        context_tokens: Tokens of prompt and answer together.
        deepest_tokens: The same of the longest answer since the load.
        concurrency: Answers at the same time, this one among them.
        memory_before: The machine's memory just before the load.
        gpu_before: The GPU just before the load.
        unload_to_load_s: Time from the last unload on this machine to the load.
        unreturned_bytes: Memory of models unloaded before that was not back when the load began.
        loads_since_start: How often this model was loaded.
        memory: The machine's memory while it answered.
        gpu: The GPU while it answered.
        device: The board while it answered.
        cpu_load_ratio: Share of all cores that worked while it answered.
        swapped_in_bytes_per_second: Read back from swap while it answered.
        swapped_out_bytes_per_second: Written to swap while it answered.
        gpu_frequency_max_hz: The highest clock that the GPU is allowed.
        cpu_frequency_hz: Clock of the fastest core while it answered.
        cpu_frequency_max_hz: The highest clock that the cores are allowed.
        over_current_events: How often the board lowered its clocks for too much current.
        limit_c: Temperature from which on clocks are lowered.
        leftovers: Runners of the engine that serve no model; empty when there are none.
        gpu_users: Other programs on the GPU; empty when there are none.
    """

    on_gpu_ratio: float | None = None
    size_bytes: int | None = None
    gpu_bytes: int | None = None
    engine_sees_gpu: bool | None = None
    engine_version: str | None = None
    context_length: int | None = None
    context_tokens: int | None = None
    deepest_tokens: int | None = None
    concurrency: int | None = None
    memory_before: Memory = field(factory=Memory)
    gpu_before: Gpu = field(factory=Gpu)
    unload_to_load_s: float | None = None
    unreturned_bytes: int | None = None
    loads_since_start: int | None = None
    memory: Memory = field(factory=Memory)
    gpu: Gpu = field(factory=Gpu)
    device: Device = field(factory=Device)
    cpu_load_ratio: float | None = None
    swapped_in_bytes_per_second: float | None = None
    swapped_out_bytes_per_second: float | None = None
    gpu_frequency_max_hz: int | None = None
    cpu_frequency_hz: int | None = None
    cpu_frequency_max_hz: int | None = None
    over_current_events: int | None = None
    limit_c: float | None = None
    leftovers: tuple[Process, ...] | None = None
    gpu_users: tuple[Process, ...] | None = None

    @property
    def hottest(self) -> tuple[str, float] | None:
        """The hottest sensor and its temperature; None when no sensor says anything."""
        known = [(c, name) for name, c in self.device.temperatures.items() if c is not None]
        if not known:
            return None
        celsius, name = max(known)
        return name, celsius

    @property
    def swap_used_bytes(self) -> int | None:
        """How much of the swap is in use."""
        total, free = self.memory.swap_total_bytes, self.memory.swap_free_bytes
        return None if total is None or free is None else total - free


@frozen
class Moment:
    """One look at the machine during slow answers.

    Attributes:
        at: Seconds on any clock that goes forward.
        gpu_load_ratio: Share of the time in which the GPU worked.
        cpu_load_ratio: Share of all cores that worked.
        gpu_frequency_hz: Clock of the GPU.
        cpu_frequency_hz: Clock of the fastest core.
        hottest_c: Temperature of the hottest sensor.
        swapped_in_bytes: Read back from swap since the machine started.
        swapped_out_bytes: Written to swap since the machine started.
    """

    at: float
    gpu_load_ratio: float | None = None
    cpu_load_ratio: float | None = None
    gpu_frequency_hz: int | None = None
    cpu_frequency_hz: int | None = None
    hottest_c: float | None = None
    swapped_in_bytes: int | None = None
    swapped_out_bytes: int | None = None


@frozen
class Evidence:
    """All that a diagnosis rests on.

    Attributes:
        baseline: Decode rates of the answers that count as usual, in tokens/s.
        present: Decode rates of the last answers.
        now: What is known around the last answers.
        then: What was known around those of the baseline; None when nothing is.
        shallow: Present rates at the depth of the baseline; empty where none were measured.
        series: Looks at the machine during the last answers, in order.
    """

    baseline: tuple[float, ...]
    present: tuple[float, ...]
    now: Snapshot
    then: Snapshot | None = None
    shallow: tuple[float, ...] = ()
    series: tuple[Moment, ...] = ()

    @property
    def before(self) -> Snapshot:
        """What was known around the answers of the baseline; nothing where nothing was."""
        return self.then or Snapshot()

    @cached_property
    def seen(self) -> Snapshot:
        """What is known around the last answers, figures of the series in place of single ones."""
        return over(self.now, self.series)


def over(snapshot: Snapshot, series: Sequence[Moment]) -> Snapshot:
    """Return *snapshot* with the median clocks and loads of *series*, and what it swapped."""
    if not series:
        return snapshot
    gpu = evolve(
        snapshot.gpu,
        load_ratio=_median(series, lambda each: each.gpu_load_ratio, snapshot.gpu.load_ratio),
        frequency_hz=_hertz(series, lambda each: each.gpu_frequency_hz, snapshot.gpu.frequency_hz),
    )
    into = _each_second(series, lambda each: each.swapped_in_bytes)
    out = _each_second(series, lambda each: each.swapped_out_bytes)
    return evolve(
        snapshot,
        gpu=gpu,
        device=_hottest(snapshot.device, series),
        cpu_load_ratio=_median(series, lambda each: each.cpu_load_ratio, snapshot.cpu_load_ratio),
        cpu_frequency_hz=_hertz(
            series, lambda each: each.cpu_frequency_hz, snapshot.cpu_frequency_hz
        ),
        swapped_in_bytes_per_second=snapshot.swapped_in_bytes_per_second if into is None else into,
        swapped_out_bytes_per_second=snapshot.swapped_out_bytes_per_second if out is None else out,
    )


def _known(
    series: Sequence[Moment], of: Callable[[Moment], float | None]
) -> Iterator[tuple[float, float]]:
    for each in series:
        value = of(each)
        if value is not None:
            yield each.at, value


def _median(
    series: Sequence[Moment], of: Callable[[Moment], float | None], otherwise: float | None
) -> float | None:
    values = [value for _, value in _known(series, of)]
    return median(values) if values else otherwise


def _hertz(
    series: Sequence[Moment], of: Callable[[Moment], int | None], otherwise: int | None
) -> int | None:
    found = _median(series, of, otherwise)
    return None if found is None else int(found)


def _each_second(series: Sequence[Moment], of: Callable[[Moment], int | None]) -> float | None:
    known = list(_known(series, of))
    if len(known) < 2 or known[-1][0] <= known[0][0]:  # noqa: PLR2004 - a rate needs two looks
        return None
    return max(0.0, (known[-1][1] - known[0][1]) / (known[-1][0] - known[0][0]))


def _hottest(device: Device, series: Sequence[Moment]) -> Device:
    values = [value for _, value in _known(series, lambda each: each.hottest_c)]
    if not values:
        return device
    return evolve(device, temperatures={**device.temperatures, "hottest": max(values)})
