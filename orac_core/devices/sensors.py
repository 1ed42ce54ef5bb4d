"""All sources of a machine behind one look."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from attrs import define, evolve, field

from . import linux, power
from .jetson import Jtop
from .kernel import Kernel, with_meter
from .meter import Meter
from .nvidia import Nvml
from .sample import DeviceSample, sampled
from .source import Source
from .values import Device, Gpu, Machine, Memory, Reading, throttling, together

DEADLINE_S = 1.0
"""How long a look may take. Reading /proc and /sys took less than 1 ms."""

PAUSE_S = 30.0
"""Until a library that failed is tried again: connecting to jtop runs several programs."""

JTOP_S = 1.0
"""How often jtop is asked by who samples; its service reads the board no oftener."""

INTEGRATED = ("GB10", "Thor", "Orin", "Xavier", "Tegra")
"""Parts of the names of NVIDIA's GPUs without memory of their own."""


@define(eq=False)
class Sensors:
    """What there is to ask on this machine. What never changes is read once.

    Attributes:
        root: Where the file system of the machine begins.
        deadline_s: How long a look may take, in seconds.
        clock: Tells seconds that never go back.
        only_kernel: Whether nothing is asked but the kernel: neither NVML nor jtop.
    """

    root: Path = Path("/")
    deadline_s: float = DEADLINE_S
    clock: Callable[[], float] = time.perf_counter
    only_kernel: bool = False
    _jtop: Jtop = field(factory=Jtop, init=False)
    _nvml: Nvml = field(factory=Nvml, init=False)
    _kernel: Kernel = field(init=False)
    _meter: Meter = field(init=False)
    _fixed: Reading | None = field(default=None, init=False)
    _board: Reading = field(factory=Reading, init=False)
    _board_at: float = field(default=float("-inf"), init=False)
    _sources: dict[str, Source[Reading]] = field(init=False)
    _quick: tuple[Source[Reading], Source[Reading]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._kernel = Kernel(self.root, self.clock)
        self._meter = Meter(self.root, clock=self.clock)
        jtop, nvml, quick = self._jtop.read, self._nvml.read, self._nvml.quick
        if self.only_kernel:
            jtop = nvml = quick = Reading
        self._quick = (Source(self._kernel.read), Source(quick, PAUSE_S))
        self._sources = {
            "jtop": Source(jtop, PAUSE_S),
            "nvml": Source(nvml, PAUSE_S),
            "linux": Source(self._linux),
        }

    async def look(self) -> Machine:
        """Return what the machine says now, off the event loop; it never raises.

        Each field is told by the first that knows it: jtop, NVML, the kernel. What can not
        answer within ``deadline_s`` says nothing and is named in ``silent``.
        """
        asked = (each.ask(self.deadline_s) for each in self._sources.values())
        jtop, nvml, kernel = (each or Reading() for each in await asyncio.gather(*asked))
        silent = {name: each.silence for name, each in self._sources.items() if each.silence}
        return _machine(jtop, nvml, kernel, silent)

    async def sample(self) -> DeviceSample:
        """Return what changes fast, off the event loop; it never raises.

        It costs a fraction of a look: files stay open, and temperatures, clocks of the CPU and
        jtop are read once a second at most, however often it is called.
        """
        at = self.clock()
        asked = (each.ask(self.deadline_s) for each in self._quick)
        kernel, nvml = (each or Reading() for each in await asyncio.gather(*asked))
        if kernel.device.power_w is not None:
            return sampled(at, Reading(), nvml, kernel)
        fresh = await self._of_board(at)
        return evolve(sampled(at, self._board, nvml, kernel), fresh=fresh)

    async def _of_board(self, now: float) -> bool:
        """Ask jtop when that is due; return whether the board's figures are new, if it has any."""
        due = now - self._board_at >= JTOP_S
        if due:
            self._board_at = now
            self._board = await self._sources["jtop"].ask(self.deadline_s) or Reading()
        return due or self._board == Reading()

    async def aclose(self) -> None:
        """Let go of the libraries, the files and the threads."""
        for close in (self._jtop.close, self._nvml.close, self._kernel.close):
            closing = Source(close)
            await closing.ask(self.deadline_s)
            closing.close()
        for source in (*self._sources.values(), *self._quick):
            source.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _linux(self) -> Reading:
        if self._fixed is None:
            self._fixed = linux.fixed(self.root)
        return together(self._fixed, with_meter(linux.changing(self.root), self._meter.read()))


def _machine(jtop: Reading, nvml: Reading, kernel: Reading, silent: dict[str, str]) -> Machine:
    both = together(jtop, nvml, kernel)
    # Free and available are compared with each other, so they have to be of one moment.
    memory = together(kernel, both).memory
    # NVML has the name that people know: "NVIDIA Thor"; the others have that of the chip.
    gpu = evolve(both.gpu, name=nvml.gpu.name or both.gpu.name)
    said = evolve(both.device, throttling=throttling(nvml.device, kernel.device))
    device = _powered(said, jtop.device, kernel.device, nvml.gpu.power_w)
    return Machine(
        evolve(memory, unified=_unified(memory, nvml.gpu)),
        None if gpu == Gpu() else gpu,
        None if device == Device() else device,
        silent,
    )


def _unified(memory: Memory, gpu: Gpu) -> bool | None:
    """Whether CPU and GPU share one memory: boards say so; a GPU with its own says how much."""
    if memory.unified or any(each in (gpu.name or "") for each in INTEGRATED):
        return True
    return None if gpu.memory_total_bytes is None else False


def _powered(device: Device, jtop: Device, kernel: Device, gpu_w: float | None) -> Device:
    rails_w = power.merged(jtop.rails_w, kernel.rails_w)
    found = {power.JTOP: jtop.power_w, power.NVML: gpu_w, **rails_w}
    whole = power.board(found)
    watts = whole.watts if whole else None
    return evolve(device, rails_w=rails_w, power_w=watts, power=power.best(found))
