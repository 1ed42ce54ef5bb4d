"""What is kept of all models from one start to the next: one document of the state directory."""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from attrs import define, field

from ..state_directory import StateDirectory
from .flight import forget_error
from .pool import Key

T = TypeVar("T")

MOST_MODELS = 256


@define(eq=False)
class Kept(Generic[T]):
    """Values by model, read once and written in the background; the newest are kept.

    Attributes:
        state: Where they are kept.
        document: Under which name.
        pack: Makes plain JSON values of one.
        unpack: Makes one of them again; None of what it does not understand.
    """

    state: StateDirectory
    document: str
    pack: Callable[[T], Any]
    unpack: Callable[[Any], T | None]
    _known: dict[str, T] | None = field(default=None, init=False)
    _saving: asyncio.Task[None] | None = field(default=None, init=False)
    _stale: bool = field(default=False, init=False)

    @property
    def opened(self) -> bool:
        """Whether what was kept has been read."""
        return self._known is not None

    async def open(self) -> None:
        """Read what was kept."""
        if self._known is None:
            data = await asyncio.to_thread(self.state.read, self.document)
            rows = data.items() if isinstance(data, dict) else ()
            self._known = {
                str(name): found for name, row in rows if (found := self.unpack(row)) is not None
            }

    def get(self, key: Key) -> T | None:
        """Return what is kept of a model; None for nothing."""
        return (self._known or {}).get("/".join(key))

    def put(self, key: Key, value: T) -> None:
        """Keep *value*, on the disk soon; what has not been read yet is not written over."""
        if self._known is None:
            return
        name = "/".join(key)
        self._known.pop(name, None)  # the newest is last
        self._known[name] = value
        self._save()

    async def close(self) -> None:
        """Return when everything is on the disk."""
        while self._saving is not None:
            await asyncio.wait([self._saving])

    def _save(self) -> None:
        self._stale = True
        if self._saving is None:
            self._saving = asyncio.create_task(self._saved(), name=f"keep {self.document}")
            self._saving.add_done_callback(forget_error)

    async def _saved(self) -> None:
        try:
            while self._stale:
                self._stale = False
                newest = list((self._known or {}).items())[-MOST_MODELS:]
                data = {name: self.pack(value) for name, value in newest}
                await asyncio.to_thread(self.state.write, self.document, data)
        finally:
            self._saving = None
