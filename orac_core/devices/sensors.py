"""All sources of a machine behind one look."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from attrs import define, evolve, field

from . import linux
from .jetson import Jtop
from .nvidia import Nvml
from .source import Source
from .values import Device, Gpu, Machine, Memory, Reading, together

DEADLINE_S = 1.0
"""How long a look may take. Reading /proc and /sys took less than 1 ms."""

PAUSE_S = 30.0
"""Until a library that failed is tried again: connecting to jtop runs several programs."""

INTEGRATED = ("GB10", "Thor", "Orin", "Xavier", "Tegra")
"""Parts of the names of NVIDIA's GPUs without memory of their own."""


@define(eq=False)
class Sensors:
    """What there is to ask on this machine. What never changes is read once.

    Attributes:
        root: Where the file system of the machine begins.
        deadline_s: How long a look may take, in seconds.
    """

    root: Path = Path("/")
    deadline_s: float = DEADLINE_S
    _jtop: Jtop = field(factory=Jtop, init=False)
    _nvml: Nvml = field(factory=Nvml, init=False)
    _fixed: Reading | None = field(default=None, init=False)
    _sources: dict[str, Source[Reading]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._sources = {
            "jtop": Source(self._jtop.read, PAUSE_S),
            "nvml": Source(self._nvml.read, PAUSE_S),
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

    async def aclose(self) -> None:
        """Let go of the libraries."""
        for close in (self._jtop.close, self._nvml.close):
            await Source(close).ask(self.deadline_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _linux(self) -> Reading:
        if self._fixed is None:
            self._fixed = linux.fixed(self.root)
        return together(self._fixed, linux.changing(self.root))


def _machine(jtop: Reading, nvml: Reading, kernel: Reading, silent: dict[str, str]) -> Machine:
    both = together(jtop, nvml, kernel)
    # Free and available are compared with each other, so they have to be of one moment.
    memory = together(kernel, both).memory
    # NVML has the name that people know: "NVIDIA Thor"; the others have that of the chip.
    gpu = evolve(both.gpu, name=nvml.gpu.name or both.gpu.name)
    device = evolve(both.device, throttling=_throttling(nvml.device, kernel.device))
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


def _throttling(*devices: Device) -> bool | None:
    """Whether any says so: NVML knows of the GPU only, the kernel of its own alerts only."""
    said = [each.throttling for each in devices if each.throttling is not None]
    return any(said) if said else None
