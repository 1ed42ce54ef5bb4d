"""A board that makes its models slow in the ways that users have reported."""

from collections.abc import AsyncGenerator, Mapping
from time import perf_counter
from typing import Any

from attrs import define, field

from orac_core import InstanceHealth, LoadProgress, LoadRequest, Rates, hookimpl
from orac_core.devices import Machine, Memory, Sensors
from orac_core.devices.sample import DeviceSample
from tests.scripted import ScriptedBackend

GIB = 1 << 30
USUAL = 37.0
SIZE = 4 * GIB
TOTAL = 16 * GIB


@define(eq=False)
class SlowBoard(ScriptedBackend):
    """An engine and its board, whose CPU and GPU share 16 GiB; each model has 4 GiB.

    Attributes:
        cache: Page cache, which the engine takes for used memory.
        late: Whether memory that is given back is only there once somebody has looked for it.
        slower_by: What share of its rate a model loses that is not wholly on the GPU.
        details: What the engine says of itself.
    """

    words: tuple[str, ...] = ("word ",) * 32
    sizes: dict[str, int] = field(factory=lambda: {"small": SIZE, "large": SIZE})
    cache: int = GIB
    late: bool = False
    slower_by: float = 0.86
    details: Mapping[str, Any] = {}
    on_its_way: int = 0
    looks: int = 0

    @property
    def available(self) -> int:
        return TOTAL - self.taken_bytes - self.on_its_way

    @property
    def free(self) -> int:
        return max(0, self.available - self.cache)

    @hookimpl
    async def load(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        async for progress in ScriptedBackend.load(self, request):
            if progress.stage == "start":
                room = TOTAL if request.gpu_layers else self.free
                self.place(0.3 if self.on_its_way else min(1.0, room / SIZE))
            yield progress

    @hookimpl
    async def unload(self, model: str) -> None:
        self.on_its_way, self.looks = (SIZE, 0) if self.late and self.loaded else (0, 0)
        await ScriptedBackend.unload(self, model)

    @hookimpl
    async def health(self) -> InstanceHealth:
        self.looks += 1
        if self.looks > 1:
            self.on_its_way = 0
        return InstanceHealth(usable=True, version="1", details=self.details)

    def place(self, on_gpu_ratio: float) -> None:
        """Put so much of the model onto the GPU."""
        self.on_gpu_ratio = on_gpu_ratio
        slow = USUAL * (1 - self.slower_by)
        self.rates = Rates(None, USUAL if on_gpu_ratio == 1 else slow)


@define(eq=False)
class BoardSensors(Sensors):
    """What the kernel of that board says."""

    board: SlowBoard = field(kw_only=True)

    async def look(self) -> Machine:
        board = self.board
        memory = Memory(TOTAL, board.available, board.free, board.cache, unified=True)
        return Machine(memory)

    async def sample(self) -> DeviceSample:
        return DeviceSample(perf_counter(), self.board.available, self.board.free, self.board.cache)
