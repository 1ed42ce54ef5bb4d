"""What each model took in memory, kept from one start to the next."""

import asyncio
from collections.abc import Sequence

from attrs import define, field

from ..memory import Measured, added, as_data, demand, from_data
from ..state_directory import StateDirectory
from ..types import LoadRequest, ModelInfo
from .flight import forget_error
from .pool import Key

DOCUMENT = "memory"
MOST_MODELS = 256


@define(eq=False)
class Ledger:
    """What loads really took, by ``instance/model``."""

    state: StateDirectory
    _known: dict[str, tuple[Measured, ...]] | None = field(default=None, init=False)
    _saving: asyncio.Task[None] | None = field(default=None, init=False)
    _stale: bool = field(default=False, init=False)

    async def open(self) -> None:
        """Read what was kept."""
        if self._known is None:
            data = await asyncio.to_thread(self.state.read, DOCUMENT)
            rows = data.items() if isinstance(data, dict) else ()
            self._known = {str(name): found for name, row in rows if (found := from_data(row))}

    def of(self, key: Key) -> Sequence[Measured]:
        """Return what loads of that model took."""
        return (self._known or {}).get("/".join(key), ())

    def seen(self, key: Key, info: ModelInfo, asked: LoadRequest) -> None:
        """Learn from what a loaded model takes, that was loaded as *asked*."""
        took = info.loaded.memory_bytes if info.loaded else None
        expected = demand(info, asked)
        if self._known is None or not took or expected is None or info.remote:
            return
        now = Measured.of(info.size_bytes or 0, expected.setup, expected.need.total_bytes, took)
        before = self.of(key)
        after = added(before, now)
        if after == before:
            return
        name = "/".join(key)
        self._known.pop(name, None)  # the newest is last
        self._known[name] = after
        self._save()

    async def close(self) -> None:
        """Return when everything is kept."""
        while self._saving is not None:
            await asyncio.wait([self._saving])

    def _save(self) -> None:
        self._stale = True
        if self._saving is None:
            self._saving = asyncio.create_task(self._saved(), name="keep what models took")
            self._saving.add_done_callback(forget_error)

    async def _saved(self) -> None:
        try:
            while self._stale:
                self._stale = False
                newest = list((self._known or {}).items())[-MOST_MODELS:]
                data = {name: as_data(rows) for name, rows in newest}
                await asyncio.to_thread(self.state.write, DOCUMENT, data)
        finally:
            self._saving = None
