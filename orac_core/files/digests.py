"""The hashes of files, which take seconds a gigabyte: computed once for all who ask."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from attrs import define, field

from ..errors import ModelFileInvalid
from .hashing import Hashing, HashProgress
from .ledger import Ledger, key_of

_AT_ONCE = 4  # the smallest pool of threads has five, and others wait for them, too


@define(eq=False)
class _Shared:
    """One computation and how many wait for it."""

    hashing: Hashing
    task: asyncio.Task[str]
    waiting: int = 0


@define(eq=False)
class Digests:
    """Hashes of files. Who asks for one that is being computed waits for that.

    Attributes:
        ledger: Those that are known.
    """

    ledger: Ledger
    _running: dict[str, _Shared] = field(factory=dict, init=False)
    _turns: asyncio.Semaphore = field(factory=lambda: asyncio.Semaphore(_AT_ONCE), init=False)

    async def of(
        self, parts: Sequence[Path], algorithm: str, progress: HashProgress | None = None
    ) -> str:
        """Return the hash of files put together, in hexadecimal digits.

        The files are read unless they were before and have not changed since. That stops soon
        after the last who asked was cancelled.

        Args:
            parts: The files, in order.
            algorithm: ``sha256``, ``sha1`` or ``md5``.
            progress: Follows how far it is.

        Raises:
            ModelFileInvalid: A file can not be read, or changes meanwhile.
        """
        key = await asyncio.to_thread(key_of, parts, algorithm)
        known = await asyncio.to_thread(self.ledger.known, key)
        if known is not None:
            return known
        shared = self._shared(key, Hashing(tuple(parts), algorithm))
        if progress is not None:
            progress.follow(shared.hashing)
        return await self._awaited(key, shared)

    def _shared(self, key: str, hashing: Hashing) -> _Shared:
        shared = self._running.get(key)
        if shared is None or shared.task.done():
            task = asyncio.create_task(self._computed(key, hashing), name="hash a file")
            shared = self._running[key] = _Shared(hashing, task)
        return shared

    async def _awaited(self, key: str, shared: _Shared) -> str:
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.waiting -= 1
            if not shared.waiting:
                shared.hashing.stop()
                shared.task.cancel()
                if self._running.get(key) is shared:
                    del self._running[key]

    async def _computed(self, key: str, hashing: Hashing) -> str:
        try:
            async with self._turns:
                found = await asyncio.to_thread(hashing.run)
            return await asyncio.to_thread(self._kept, key, hashing, found)
        finally:
            hashing.stop()

    def _kept(self, key: str, hashing: Hashing, found: str | None) -> str:
        if found is None or key_of(hashing.parts, hashing.algorithm) != key:
            problem = "it changed while it was being read; try again when it is whole"
            raise ModelFileInvalid(hashing.parts[0], problem)
        self.ledger.learn(key, found)
        return found
