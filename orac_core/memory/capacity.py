"""How much memory there is for a model. Pure."""

from collections.abc import Sequence

from attrs import evolve, frozen

from ..devices import Machine
from .eviction import Space


@frozen
class Capacity:
    """The memory that a model could have now.

    Attributes:
        space: What is available.
        page_cache_bytes: How much of the machine's own memory among it holds files, and is given
            back by the kernel when somebody needs it.
        unified: Whether CPU and GPU share it.
    """

    space: Space
    page_cache_bytes: int = 0
    unified: bool = True

    def without(self, reserved: Space) -> "Capacity":
        """Return what is left beside loads that have *reserved* space and may not have it yet."""
        on_gpu = 0 if self.unified else reserved.gpu_bytes
        return evolve(self, space=self.space - Space(reserved.host_bytes, on_gpu))


def capacity(machine: Machine, mapped_bytes: Sequence[int] = ()) -> Capacity | None:
    """Return what there is; None when the machine does not say.

    The kernel counts as available what is cached of files, also of a file that a loaded model has
    mapped and reads for each token. To take that away would stop the model, so it is no room.

    Args:
        machine: What the sensors say. A limit of a control group counts like the end of memory.
        mapped_bytes: What each loaded model has mapped of its file.
    """
    memory, gpu = machine.memory, machine.gpu
    said = (memory.available_bytes, memory.limit_available_bytes)
    known = [each for each in said if each is not None]
    if not known:
        return None
    host = max(0, min(known) - sum(mapped_bytes))
    cached = max(0, (memory.page_cache_bytes or 0) - sum(mapped_bytes))
    if memory.unified or gpu is None or gpu.memory_total_bytes is None:
        return Capacity(Space(host), min(host, cached))
    free = gpu.memory_total_bytes - (gpu.memory_used_bytes or 0)
    return Capacity(Space(host, max(0, free)), min(host, cached), unified=False)
