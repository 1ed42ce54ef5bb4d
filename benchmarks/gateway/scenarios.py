"""What each gateway goes through in a round, and what is measured meanwhile."""

import json
import subprocess
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from benchmarks.gateway.programs import Ask, Gateway

US = 1e6
MIB = 1 << 20

Told = Mapping[str, Any]
Figures = dict[str, float]


@frozen
class Costs:
    """What a gateway took: its CPU time and its memory."""

    cpu_s: float
    rss_bytes: int


@frozen
class Scenario:
    """A load, and the figures that are taken of it.

    Attributes:
        name: Of the scenario.
        mode: Of the load generator.
        ask: What is asked.
        connections: How many ask.
        figures: Returns the figures, from what the load generator told and the costs.
        seconds: How long it asks, or how long it waits for the last answer.
        spread_ms: Time over which connections are opened.
        only: Names of the gateways that it is meant for; empty for all.
    """

    name: str
    mode: str
    ask: Ask
    connections: int
    figures: Callable[[Told, Costs], Figures]
    seconds: float = 2.0
    spread_ms: int = 0
    only: Collection[str] = ()


def requests(told: Told, costs: Costs) -> Figures:
    """Return the figures of answers that are not streamed."""
    return {
        "requests/s": told["answers"] / told["elapsed_s"],
        "p50 µs": _part(told, "whole", "p50"),
        "p99 µs": _part(told, "whole", "p99"),
        "CPU µs/request": US * costs.cpu_s / max(1, told["answers"]),
        "errors": told["errors"],
    }


def per_token(told: Told, costs: Costs) -> Figures:
    """Return the cost of tokens."""
    return {
        "CPU µs/token": US * costs.cpu_s / max(1, told["lag"]["n"]),
        "tokens/s": told["lag"]["n"] / told["elapsed_s"],
        "errors": told["errors"],
    }


def welcomed(told: Told, costs: Costs) -> Figures:
    """Return how late the first token is."""
    return {
        "TTFT p50 ms": _part(told, "first", "p50") / 1000,
        "TTFT p99 ms": _part(told, "first", "p99") / 1000,
        **per_token(told, costs),
    }


def timely(told: Told, costs: Costs) -> Figures:
    """Return how late tokens are."""
    return {
        **welcomed(told, costs),
        "gap p99 ms": _part(told, "gap", "p99") / 1000,
        "lag p50 ms": _part(told, "lag", "p50") / 1000,
        "lag p99 ms": _part(told, "lag", "p99") / 1000,
        "RSS MiB": costs.rss_bytes / MIB,
    }


def measured(load: Path, scenario: Scenario, gateway: Gateway) -> Figures:
    """Put *gateway* under the load, and return the figures."""
    before = gateway.cpu_s()
    told = _loaded(load, scenario, gateway)
    costs = Costs(gateway.cpu_s() - before, gateway.peak_rss_bytes() if gateway.pid else 0)
    if told["errors"]:
        print(f"{gateway.name}, {scenario.name}: {told['errors']} errors ({told['why']})")
    return scenario.figures(told, costs)


def _loaded(load: Path, scenario: Scenario, gateway: Gateway) -> dict[str, Any]:
    values = {
        "port": gateway.port,
        "path": gateway.path,
        "body": json.dumps(gateway.body(scenario.ask)),
        "connections": scenario.connections,
        "seconds": scenario.seconds,
        "tokens": scenario.ask.tokens,
        "spread-ms": scenario.spread_ms,
    }
    options = [word for name, value in values.items() for word in (f"--{name}", str(value))]
    done = subprocess.run(
        [str(load), scenario.mode, *options], capture_output=True, text=True, check=True
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _part(told: Told, what: str, name: str) -> float:
    return float(told[what].get(name, float("inf")))


FAST = ("ORAC", "bare proxy")
ALL_BUT_SLOW = (*FAST, "nginx", "direct")

C1, C16, C64 = (Scenario(f"one token, c={c}", "requests", Ask(), c, requests) for c in (1, 16, 64))
FLOOD = Scenario(
    "32 streams, as fast as they go",
    "streams",
    Ask(2000, stream=True),
    32,
    per_token,
    60.0,
    only=ALL_BUT_SLOW,
)
FLOOD_SLOW = Scenario(
    "32 streams of 32 tokens, as fast as they go",
    "streams",
    Ask(32, stream=True),
    32,
    per_token,
    60.0,
)
DRIPPING = Scenario(
    "32 streams, 10 ms a token",
    "streams",
    Ask(150, stream=True, pace_us=10_000),
    32,
    per_token,
    30.0,
    only=ALL_BUT_SLOW,
)
PACED = Scenario(
    "64 streams, 20 ms a token",
    "streams",
    Ask(75, stream=True, pace_us=20_000),
    64,
    timely,
    30.0,
)
BURST = Scenario(
    "256 new connections at once",
    "streams",
    Ask(1, stream=True),
    256,
    welcomed,
    30.0,
    only=ALL_BUT_SLOW,
)
MANY = Scenario(
    "1000 streams, 1 token/s",
    "streams",
    Ask(12, stream=True, pace_us=1_000_000, first_us=1_000_000),
    1000,
    timely,
    40.0,
    3000,
    only=ALL_BUT_SLOW,
)
ROUND = (C1, C16, C64, FLOOD, FLOOD_SLOW, DRIPPING, PACED, BURST)
"""What is done in every round; `MANY` is done once."""
