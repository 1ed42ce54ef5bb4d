"""A machine whose memory a test decides."""

from collections.abc import Callable

from attrs import define, evolve, field

from ..devices import Machine, Memory, Sensors


@define(eq=False)
class FakeDevice(Sensors):
    """A machine whose CPU and GPU share so much memory, of which something takes a part.

    Attributes:
        total_bytes: All the memory that there is.
        taken_bytes: Says how much of it is taken now; `FaultyBackend.taken_bytes` is one to use.
        page_cache_bytes: What the kernel keeps of files.
        machine: What it says of everything but its memory.
    """

    total_bytes: int = field(kw_only=True)
    taken_bytes: Callable[[], int] = field(default=lambda: 0, kw_only=True)
    page_cache_bytes: int = field(default=0, kw_only=True)
    machine: Machine = field(factory=Machine, kw_only=True)

    async def look(self) -> Machine:
        """Return what the machine says now."""
        left = self.total_bytes - self.taken_bytes()
        cached = self.page_cache_bytes
        memory = Memory(self.total_bytes, left, page_cache_bytes=cached, unified=True)
        return evolve(self.machine, memory=memory)
