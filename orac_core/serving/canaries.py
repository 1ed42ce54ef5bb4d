"""Canaries: short answers that ORAC asks for itself, to learn how fast a model is when all is well.

They are asked after a load, while nothing else goes on, and give way at once to whoever comes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Protocol

from attrs import define, field

from ..conversation import GenerateOptions, GenerateRequest
from ..errors import OracError
from ..plugins import Instance
from .flight import forget_error
from .pool import Key

PROMPT = "Count slowly from one to one hundred, in words, with commas: one, two, three,"
TOKENS = 32
"""Tokens of each; the binding definition of a baseline."""

QUIET_S = 2.0
"""Nothing else has gone on for so long before one is asked."""

DEADLINE_S = 60.0
"""One that takes longer is no canary, but a reason to stop asking."""

MOST_TRIES = 50
"""How many are begun for one load; whoever comes cuts one short, and it is begun again."""


class Singer(Protocol):
    """A model that canaries can be asked of."""

    @property
    def key(self) -> Key:
        """Names of the instance and the model."""

    @property
    def instance(self) -> Instance:
        """The backend that serves it."""

    @property
    def model(self) -> str:
        """Its id there."""

    @property
    def metered(self) -> bool:
        """Whether it is to be asked nothing but what somebody wants to know."""


Wanted = Callable[[], Awaitable[bool]]
"""Says whether one more canary is of use."""

Heard = Callable[[float], None]
"""Takes the decode rate of one, in tokens a second."""


async def sing(instance: Instance, model: str) -> float | None:
    """Ask for one canary; return its decode rate by the engine's clock, None where it has none.

    Raises:
        OracError: when the model does not answer.
        TimeoutError: when it takes too long.
    """
    options = GenerateOptions(temperature=0.0, seed=1, max_tokens=TOKENS, ignore_eos=True)
    request = GenerateRequest(model, prompt=PROMPT, options=options)
    rate, tokens = None, None
    async with asyncio.timeout(DEADLINE_S), aclosing(instance.generate(request)) as stream:
        async for chunk in stream:
            rate = chunk.rates.decode_tokens_per_second
            tokens = chunk.usage.completion_tokens
    return rate if (tokens or 0) >= TOKENS // 2 else None


@define(eq=False)
class Canaries:
    """Asks for canaries of one model after the other.

    Attributes:
        busy: Whether anything is loaded, unloaded or answered just now.
        on: Whether to ask at all.
    """

    busy: Callable[[], bool]
    on: bool = True
    _jobs: dict[Key, asyncio.Task[None]] = field(factory=dict, init=False)
    _turn: asyncio.Lock = field(factory=asyncio.Lock, init=False)
    _asking: asyncio.Lock = field(factory=asyncio.Lock, init=False)
    _song: asyncio.Task[float | None] | None = field(default=None, init=False)
    _holders: int = field(default=0, init=False)
    _disturbed_at: float = field(default=float("-inf"), init=False)

    def begin(self, singer: Singer, wanted: Wanted, heard: Heard) -> None:
        """Ask *singer* as long as more are *wanted*; whoever calls goes on at once."""
        self.leave(singer.key)
        # An object of Python's tells no rate, and may do anything when it is called.
        if not self.on or singer.metered or "obtain" in singer.instance.offers:
            return
        job = asyncio.create_task(self._ask(singer, wanted, heard), name=f"canaries {singer.model}")
        self._jobs[singer.key] = job
        job.add_done_callback(forget_error)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Ask for none meanwhile: somebody measures."""
        self._holders += 1
        self.make_way()
        try:
            yield
        finally:
            self._holders -= 1

    def make_way(self) -> None:
        """End the canary that is being answered: somebody needs the machine."""
        self._disturbed_at = asyncio.get_running_loop().time()
        if self._song is not None:
            self._song.cancel()

    def leave(self, key: Key) -> None:
        """Ask no more of a model: it leaves the memory."""
        if key in self._jobs:
            self._jobs[key].cancel()

    async def gone(self, key: Key) -> None:
        """Wait until a model that was left is asked nothing any more."""
        if key in self._jobs:
            await asyncio.wait([self._jobs[key]])
        await self._silence()

    async def at_once(self, singer: Singer, canaries: int) -> tuple[float, ...]:
        """Ask for some now, and for one before them to warm up; return their decode rates.

        There are none where something else goes on, or somebody comes meanwhile.

        Raises:
            OracError: when the model does not answer.
            TimeoutError: when it takes too long.
        """
        async with self._asking:
            if self._holders or self.busy():
                return ()
            with self.held():
                await self._silence()
                return await self._undisturbed(singer, canaries)

    async def close(self) -> None:
        """Ask no more at all."""
        self.on = False
        self.make_way()
        for job in self._jobs.values():
            job.cancel()
        if self._jobs:
            await asyncio.wait(list(self._jobs.values()))

    async def _ask(self, singer: Singer, wanted: Wanted, heard: Heard) -> None:
        try:
            async with self._turn:
                warm = False
                for _ in range(MOST_TRIES):
                    if not await wanted():
                        return
                    await self._quiet()
                    taking = heard if warm else _nothing
                    if not await self._heard(singer, taking):
                        return
                    warm = True
        finally:
            if self._jobs.get(singer.key) is asyncio.current_task():
                del self._jobs[singer.key]

    async def _quiet(self) -> None:
        """Wait until nothing else has gone on for some time."""
        loop = asyncio.get_running_loop()
        while True:
            busy = self._holders > 0 or self.busy()
            rest = QUIET_S if busy else self._disturbed_at + QUIET_S - loop.time()
            if rest <= 0:
                return
            await asyncio.sleep(rest)

    async def _heard(self, singer: Singer, heard: Heard) -> bool:
        """Ask once; return whether it is of use to ask again."""
        song = await self._sung(singer)
        if song.cancelled():
            return True
        return self._took(song, heard)

    async def _undisturbed(self, singer: Singer, canaries: int) -> tuple[float, ...]:
        """Return their rates, without the first; none when they are disturbed."""
        since = self._disturbed_at
        rates: list[float] = []
        while len(rates) <= canaries:
            rate = None if self.busy() else await self._given(singer)
            if rate is None or self._disturbed_at != since:
                return ()
            rates.append(rate)
        return tuple(rates[1:])

    async def _given(self, singer: Singer) -> float | None:
        song = await self._sung(singer)
        return None if song.cancelled() else song.result()

    async def _sung(self, singer: Singer) -> asyncio.Task[float | None]:
        """Ask once; return the question when it is over, one way or another."""
        song = self._song = asyncio.create_task(sing(singer.instance, singer.model))
        try:
            await asyncio.wait([song])
        finally:
            song.cancel()
            if not song.done():
                await asyncio.wait([song])
            if self._song is song:
                self._song = None
        return song

    async def _silence(self) -> None:
        """Wait for the end of a canary that was told to make way."""
        if self._song is not None and self._song.cancelling():
            await asyncio.wait([self._song])

    def _took(self, song: asyncio.Task[float | None], heard: Heard) -> bool:
        error = song.exception()
        if isinstance(error, (OracError, TimeoutError)):
            return False
        rate = song.result()
        if rate is not None:
            heard(rate)
        return rate is not None


def _nothing(_rate: float) -> None:
    """Take the first canary: it warms up."""
