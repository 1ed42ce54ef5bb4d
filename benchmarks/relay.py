"""What the relay costs over calling the backend directly: of a call, of a stream, of a chunk.

A backend that does nothing is called directly and through its relay, in turns, with no wrapper and
with one that does nothing. What counts is the least time of all rounds: whatever else the machine
does only adds to it. Exits with 1 when the relay without wrappers costs more than 5 µs a call or
1 µs a chunk.

    python benchmarks/relay.py [--rounds 200] [--json]
"""

import argparse
import asyncio
import json
import sys
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Generator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from time import perf_counter

from attrs import astuple, define, frozen

from orac_core import (
    Chunk,
    GenerateRequest,
    Instance,
    InstanceHealth,
    LoadProgress,
    ModelInfo,
    Plugins,
    hookimpl,
)

CALL_US, CHUNK_US = 5.0, 1.0
CALLS, CHUNKS = 200, 2000
REQUEST = GenerateRequest("nothing")


@define(eq=False)
class Nothing:
    """A backend that has nothing to do."""

    chunks: int

    @hookimpl
    async def models(self) -> list[ModelInfo]:
        """List its one model."""
        return [ModelInfo("nothing")]

    @hookimpl
    async def load(self) -> AsyncGenerator[LoadProgress, None]:
        """Load nothing."""
        yield LoadProgress("start")

    @hookimpl
    async def unload(self, model: str) -> None:
        """Free nothing."""

    @hookimpl
    async def health(self) -> InstanceHealth:
        """Be usable."""
        return InstanceHealth(usable=True)

    @hookimpl
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Stream the same chunk again and again."""
        chunk = Chunk(request.model)
        for _ in range(self.chunks - 1):
            yield chunk
        yield Chunk(done=True)


class Wrapper:
    """A wrapper that hands on what it gets, as every wrapper of a stream has to."""

    @hookimpl(wrapper=True)
    def unload(self) -> Generator[None, Awaitable[None], Awaitable[None]]:
        """Hand the call on."""
        answer = yield
        return self._awaited(answer)

    @hookimpl(wrapper=True)
    def generate(
        self,
    ) -> Generator[None, AsyncGenerator[Chunk, None], AsyncGenerator[Chunk, None]]:
        """Hand the stream on."""
        stream = yield
        return self._streamed(stream)

    async def _awaited(self, answer: Awaitable[None]) -> None:
        await answer

    async def _streamed(self, stream: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
        async with aclosing(stream):
            async for chunk in stream:
                yield chunk


Server = Nothing | Instance


@frozen
class Figures:
    """Seconds of a call, of a stream with one chunk, and of one with many."""

    call_s: float
    stream_s: float
    flow_s: float

    @property
    def chunk_s(self) -> float:
        """Return the seconds of each further chunk."""
        return (self.flow_s - self.stream_s) / (CHUNKS - 1)


def main() -> int:
    """Measure, print the figures, and return the exit code."""
    parser = argparse.ArgumentParser(description="What the relay costs.")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    direct, bare, wrapped = asyncio.run(measure(asked.rounds))
    costs = {"relay": cost(bare, direct), "relay and a wrapper": cost(wrapped, direct)}
    if asked.json:
        print(json.dumps(costs, indent=2))
    else:
        told(costs)
    relay = costs["relay"]
    kept = max(relay["call_us"], relay["stream_us"]) <= CALL_US and relay["chunk_us"] <= CHUNK_US
    return 0 if kept else 1


async def measure(rounds: int) -> list[Figures]:
    """Return the figures of the backend, of its relay, and of its relay with a wrapper."""
    short, long = servers(1), servers(CHUNKS)
    taken = [
        [await figures(*pair) for pair in zip(short, long, strict=True)] for _ in range(rounds)
    ]
    return [least(each) for each in zip(*taken, strict=True)]


def servers(chunks: int) -> list[Server]:
    """Return the backend, its relay, and its relay with a wrapper."""
    wrapped = Plugins()
    wrapped.register("wrapper", Wrapper())
    return [
        Nothing(chunks),
        Plugins().bind("here", Nothing(chunks)),
        wrapped.bind("here", Nothing(chunks)),
    ]


async def figures(short: Server, long: Server) -> Figures:
    """Return what one round took: a call, a stream of one chunk, and a stream of many."""
    return Figures(
        call_s=await timed(lambda: short.unload("nothing"), CALLS),
        stream_s=await timed(lambda: read(short), CALLS),
        flow_s=await timed(lambda: read(long), 1),
    )


async def timed(call: Callable[[], Awaitable[None]], times: int) -> float:
    """Return the seconds that a call takes, the mean of so many."""
    started = perf_counter()
    for _ in range(times):
        await call()
    return (perf_counter() - started) / times


async def read(server: Server) -> None:
    """Read an answer to its end."""
    async with aclosing(server.generate(REQUEST)) as stream:
        async for _ in stream:
            pass


def least(rounds: Sequence[Figures]) -> Figures:
    """Return the least time of each."""
    return Figures(*(min(each) for each in zip(*map(astuple, rounds), strict=True)))


def cost(server: Figures, direct: Figures) -> dict[str, float]:
    """Return what *server* costs more than the backend itself, in microseconds."""
    over = (server.call_s, direct.call_s), (server.stream_s, direct.stream_s)
    call, stream = ((more - less) * 1e6 for more, less in over)
    chunk = (server.chunk_s - direct.chunk_s) * 1e6
    return {"call_us": round(call, 2), "stream_us": round(stream, 2), "chunk_us": round(chunk, 3)}


def told(costs: Mapping[str, Mapping[str, float]]) -> None:
    """Print the costs as a table."""
    print(f"{'over the backend itself':24} {'call':>9} {'stream':>9} {'chunk':>9}")
    for name, it in costs.items():
        print(f"{name:24}", *(f"{it[key]:6.2f} µs" for key in ("call_us", "stream_us", "chunk_us")))
    print(f"{'allowed':24} {CALL_US:6.2f} µs {CALL_US:6.2f} µs {CHUNK_US:6.2f} µs")


if __name__ == "__main__":
    sys.exit(main())
