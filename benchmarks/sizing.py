"""How many boards one ORAC can stand in front of, and what is full first: a simulation.

Every token goes from its board through the processes that all share, each of which has one core and
serves in the order of arrival. What they need for a request and for a token is measured by
`benchmarks/cluster/run.py`; with ``--costs`` the figures of such a run are taken. The boards answer
all the time: a stream that has ended is followed by the next. Prints a table for each way and rate.

    python benchmarks/sizing.py [--costs FILE] [--slower 1.0] [--streams 2] [--tokens 100]
"""

import argparse
import json
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from rich.console import Console
from rich.table import Table

RATES = (20.0, 100.0)
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.25)
ANSWERS = 4
"""For how many answers of each stream it goes on, at the least time that they take."""


@frozen
class Part:
    """A process that everything goes through.

    Attributes:
        name: What it is.
        request_s: CPU time that a request takes there.
        token_s: CPU time that a token takes there.
    """

    name: str
    request_s: float
    token_s: float


@frozen
class Site:
    """Boards, and what stands before them.

    Attributes:
        parts: What everything goes through, the one next to the boards first.
        streams: Answers at once on each board.
        rate: Tokens in a second of each.
        tokens: Length of an answer.
    """

    parts: tuple[Part, ...]
    streams: int = 2
    rate: float = 20.0
    tokens: int = 100

    def cost_s(self, part: Part) -> float:
        """Return the CPU time of a part for each token, with its share of the request."""
        return part.token_s + part.request_s / self.tokens

    @property
    def narrowest(self) -> Part:
        """The part that is full first."""
        return max(self.parts, key=self.cost_s)

    @property
    def most(self) -> float:
        """Tokens in a second that the parts let through, however many boards there are."""
        return 1 / self.cost_s(self.narrowest)

    @property
    def full_at(self) -> float:
        """Boards that fill it."""
        return self.most / (self.streams * self.rate)

    def bound(self, boards: int) -> float:
        """Return the tokens in a second that can not be exceeded."""
        return min(self.most, boards * self.streams * self.rate)


@frozen
class Told:
    """What came of a simulation.

    Attributes:
        boards: How many there were.
        tokens_per_s: That arrived.
        busy: Share of its core that each part was busy.
        delay_s: From when a token is written to its arrival, median and 99th percentile.
    """

    boards: int
    tokens_per_s: float
    busy: Mapping[str, float]
    delay_s: tuple[float, float]


@define(eq=False)
class _Queue:
    """A part at work: what comes is served in turn."""

    part: Part
    free_at: float = 0.0
    worked_s: float = 0.0

    def served(self, at: float, cost_s: float, until: float) -> float:
        """Return when something that comes then is done."""
        begun = max(at, self.free_at)
        self.free_at = begun + cost_s
        self.worked_s += max(0.0, min(self.free_at, until) - min(begun, until))
        return self.free_at


_Event = tuple[float, int, int, int, int, float]
"""When, its number, the stream, the part, tokens that are left, and when the token was written.

What was not written is a request, on its way down.
"""

_REQUEST = -1.0


@define(eq=False)
class _Run:
    """A simulation that goes on."""

    site: Site
    boards: int
    until: float
    chance: random.Random
    queues: list[_Queue] = field(init=False)
    events: list[_Event] = field(factory=list, init=False)
    delays: list[float] = field(factory=list, init=False)
    arrived: int = field(default=0, init=False)
    _number: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.queues = [_Queue(part) for part in self.site.parts]
        for stream in range(self.boards * self.site.streams):
            left = self.chance.randint(1, self.site.tokens)  # as if they had begun long ago
            self.ask(self.chance.random() / self.site.rate, stream, left)

    def ask(self, at: float, stream: int, tokens: int) -> None:
        """Have a request come."""
        self._push(at, stream, len(self.queues) - 1, tokens, _REQUEST)

    def go(self) -> None:
        """Go on to the end."""
        while self.events and self.events[0][0] < self.until:
            at, _, stream, place, left, written = heappop(self.events)
            if written == _REQUEST:
                self._down(at, stream, place, left)
            else:
                self._up(at, stream, place, left, written)

    def _down(self, at: float, stream: int, place: int, left: int) -> None:
        queue = self.queues[place]
        done = queue.served(at, queue.part.request_s, self.until)
        if place:
            self._push(done, stream, place - 1, left, _REQUEST)
        else:
            self._write(done, stream, left)

    def _write(self, at: float, stream: int, left: int) -> None:
        written = at + 1 / self.site.rate
        self._push(written, stream, 0, left, written)

    def _up(self, at: float, stream: int, place: int, left: int, written: float) -> None:
        queue = self.queues[place]
        done = queue.served(at, queue.part.token_s, self.until)
        if place == 0 and left > 1:
            self._write(at, stream, left - 1)
        if place + 1 < len(self.queues):
            self._push(done, stream, place + 1, left, written)
        else:
            self._arrive(done, stream, left, written)

    def _arrive(self, at: float, stream: int, left: int, written: float) -> None:
        if at <= self.until:
            self.arrived += 1
            if written > self.until / 2:  # what all that begin at once make of it is over
                self.delays.append(at - written)
        if left == 1:
            self.ask(at, stream, self.site.tokens)

    def _push(self, at: float, stream: int, place: int, left: int, written: float) -> None:
        self._number += 1
        heappush(self.events, (at, self._number, stream, place, left, written))


def simulated(site: Site, boards: int, seed: int = 1) -> Told:
    """Return what comes of so many boards; the same for the same *seed*."""
    until = ANSWERS * boards * site.streams * site.tokens / site.bound(boards)
    run = _Run(site, boards, until, random.Random(seed))
    run.go()
    busy = {each.part.name: each.worked_s / until for each in run.queues}
    delays = sorted(run.delays) or [0.0]
    middle, late = delays[len(delays) // 2], delays[min(len(delays) - 1, len(delays) * 99 // 100)]
    return Told(boards, run.arrived / until, busy, (middle, late))


def sizes(site: Site) -> list[int]:
    """Return how many boards are worth a look: up to more than what fills the narrowest part."""
    return sorted({max(1, round(share * site.full_at)) for share in SHARES} | {1, 2})


def ways(figures: Mapping[str, Any], slower: float = 1.0) -> dict[str, tuple[Part, ...]]:
    """Return the parts of a cluster and of a fleet, from what was measured.

    Args:
        figures: Microseconds for a request and a token, by way and process.
        slower: How many times as long everything takes on the machine that is meant.
    """
    passed = {"ray": ("bridge", "ORAC"), "fleet": ("ORAC",)}
    return {
        way: tuple(_part(name, figures[way], slower * 1e-6) for name in names)
        for way, names in passed.items()
    }


def _part(name: str, figures: Mapping[str, Mapping[str, float]], unit_s: float) -> Part:
    request, token = figures["request µs"][name], figures["token µs"][name]
    return Part(name, request * unit_s, token * unit_s)


def main() -> int:
    """Simulate, and print the tables."""
    told = _arguments()
    figures = json.loads(told.costs.read_text())["costs"] if told.costs else MEASURED
    for way, parts in ways(figures, told.slower).items():
        for rate in RATES:
            site = Site(parts, told.streams, rate, told.tokens)
            found = [simulated(site, boards) for boards in sizes(site)]
            Console().print(table(way, site, found))
    return 0


def table(way: str, site: Site, found: Sequence[Told]) -> Table:
    """Return the figures of one way and rate."""
    head = f"{way}, {site.rate:g} tokens/s a stream: {site.narrowest.name} is full at "
    shown = Table(title=f"{head}{site.full_at:.0f} boards, {site.most:.0f} tokens/s")
    names = [f"{part.name} busy" for part in site.parts]
    for column in ("boards", "streams", "tokens/s", *names, "delay p50", "delay p99"):
        shown.add_column(column, justify="right")
    for each in found:
        shown.add_row(*_cells(site, each))
    return shown


def _cells(site: Site, told: Told) -> Iterator[str]:
    yield str(told.boards)
    yield str(told.boards * site.streams)
    yield f"{told.tokens_per_s:.0f}"
    yield from (f"{100 * told.busy[part.name]:.0f} %" for part in site.parts)
    yield from (f"{1e3 * each:.1f} ms" for each in told.delay_s)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How many boards one ORAC can stand in front of.")
    parser.add_argument("--costs", type=Path, help="figures of benchmarks/cluster/run.py --json")
    parser.add_argument("--slower", type=float, default=1.0, help="than where it was measured")
    parser.add_argument("--streams", type=int, default=2, help="at once on each board")
    parser.add_argument("--tokens", type=int, default=100, help="of an answer")
    return parser.parse_args()


MEASURED: dict[str, Any] = {
    "ray": {
        "request µs": {"ORAC": 594.4, "bridge": 1180.9},
        "token µs": {"ORAC": 100.2, "bridge": 140.6},
    },
    "fleet": {"request µs": {"ORAC": 982.0}, "token µs": {"ORAC": 111.7}},
}
"""What `benchmarks/cluster/run.py --only costs` measured.

The machine had two x86-64 cores and did nothing else.
"""


if __name__ == "__main__":
    sys.exit(main())
