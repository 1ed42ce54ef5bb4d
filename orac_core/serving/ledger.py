"""What each model took in memory, kept from one start to the next."""

from collections.abc import Sequence

from attrs import define, field

from ..memory import Measured, adapter_bytes, added, as_data, demand, from_data
from ..state_directory import StateDirectory
from ..types import LoadRequest, ModelInfo
from .kept import Kept
from .pool import Key

DOCUMENT = "memory"

Rows = tuple[Measured, ...]


@define(eq=False)
class Ledger:
    """What loads really took."""

    state: StateDirectory
    _kept: Kept[Rows] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._kept = Kept(self.state, DOCUMENT, as_data, lambda row: from_data(row) or None)

    async def open(self) -> None:
        """Read what was kept."""
        await self._kept.open()

    def of(self, key: Key) -> Sequence[Measured]:
        """Return what loads of that model took."""
        return self._kept.get(key) or ()

    def seen(self, key: Key, info: ModelInfo, asked: LoadRequest) -> None:
        """Learn from what a loaded model takes, that was loaded as *asked*."""
        took = info.loaded.memory_bytes if info.loaded else None
        expected = demand(info, asked)
        if not self._kept.opened or not took or expected is None or info.remote:
            return
        size = (info.size_bytes or 0) + adapter_bytes(info, asked)
        now = Measured.of(size, expected.setup, expected.need.total_bytes, took)
        before = self.of(key)
        after = added(before, now)
        if after != before:
            self._kept.put(key, after)

    async def close(self) -> None:
        """Return when everything is kept."""
        await self._kept.close()
