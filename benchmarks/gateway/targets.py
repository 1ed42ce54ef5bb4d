"""What ORAC is to reach as a gateway, and whether it does."""

from collections.abc import Callable, Mapping

from attrs import frozen

from benchmarks.gateway.scenarios import C1, C16, C64, DRIPPING, FLOOD, MANY, PACED

Medians = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By gateway, scenario and figure."""

ORAC, BARE, DIRECT, LITELLM = "ORAC", "bare proxy", "direct", "LiteLLM"
ONCE = "once"
EMBEDDED = "embedded engine, streamed"
EMBEDDED_RATIO = 0.97
LATENCY_RATIO, THROUGHPUT_RATIO, LITELLM_RATIO = 1.5, 0.6, 10
TOKEN_RATIO, TTFT_RATIO, GAP_MS = 2, 2, 40
LAG_MS, RSS_MIB, IDLE_PERCENT = 5, 90, 0.5
START_S, START_RATIO, START_PLUS_S = 0.9, 1.5, 0.3


@frozen
class Result:
    """Whether a target is reached.

    Attributes:
        target: What it demands.
        value: What was measured.
        limit: What it may be.
        at_most: Whether the limit is the most, or the least.
    """

    target: str
    value: float
    limit: float
    at_most: bool = True

    @property
    def reached(self) -> bool:
        """Whether it is."""
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    def __str__(self) -> str:
        sign = "<=" if self.at_most else ">="
        told = "reached" if self.reached else "MISSED "
        return f"{told}  {self.target}: {self.value:.3g} ({sign} {self.limit:.3g})"


def judged(medians: Medians) -> list[Result]:
    """Return the verdict on every target whose gateways took part."""
    results = [*_speed(medians), *_streams(medians), *_rest(medians)]
    if embedded := medians[ORAC].get(EMBEDDED):
        told = "tokens/s of the embedded engine at the client, against its own timings"
        results.append(Result(told, embedded["ratio"], EMBEDDED_RATIO, at_most=False))
    if LITELLM in medians:
        for scenario in (C16, C64):
            ratio = _ratio(medians, LITELLM)(scenario.name, "requests/s")
            told = f"requests/s against LiteLLM, {scenario.name}"
            results.append(Result(told, ratio, LITELLM_RATIO, at_most=False))
    return results


def _ratio(medians: Medians, other: str) -> Callable[[str, str], float]:
    def ratio(scenario: str, figure: str) -> float:
        return medians[ORAC][scenario][figure] / (medians[other][scenario][figure] or 1e-9)

    return ratio


def latency(medians: Medians) -> Result:
    """Return the verdict on how long one client waits."""
    p50 = {name: medians[name][C1.name]["p50 µs"] for name in (ORAC, BARE, DIRECT)}
    added = (p50[ORAC] - p50[DIRECT]) / max(1.0, p50[BARE] - p50[DIRECT])
    return Result("added latency p50, c=1, against the bare proxy", added, LATENCY_RATIO)


def _speed(medians: Medians) -> list[Result]:
    results = [latency(medians)]
    for scenario in (C16, C64):
        ratio = _ratio(medians, BARE)(scenario.name, "requests/s")
        told = f"requests/s against the bare proxy, {scenario.name}"
        results.append(Result(told, ratio, THROUGHPUT_RATIO, at_most=False))
    return results


def _streams(medians: Medians) -> list[Result]:
    ratio, paced = _ratio(medians, BARE), medians[ORAC][PACED.name]
    against = "against the bare proxy"
    tokens = [
        Result(f"CPU a token {against}, {it.name}", ratio(it.name, "CPU µs/token"), TOKEN_RATIO)
        for it in (FLOOD, DRIPPING)
    ]
    ttft = ratio(PACED.name, "TTFT p50 ms")
    return [
        *tokens,
        Result(f"TTFT p50 {against}, {PACED.name}", ttft, TTFT_RATIO),
        Result(f"gap p99 ms, {PACED.name}", paced["gap p99 ms"], GAP_MS),
    ]


def _rest(medians: Medians) -> list[Result]:
    many, once = medians[ORAC][MANY.name], medians[ORAC][ONCE]
    start, floor = once["start s"], medians[BARE][ONCE]["start s"]
    errors = sum(each.get("errors", 0) for each in medians[ORAC].values())
    return [
        Result(f"lag p50 ms, {MANY.name}", many["lag p50 ms"], LAG_MS),
        Result(f"RSS MiB, {MANY.name}", many["RSS MiB"], RSS_MIB),
        Result("errors, in all scenarios", errors, 0),
        Result("start s, to the first answer", start, START_S),
        Result("start s, against the bare proxy", start, START_RATIO * floor + START_PLUS_S),
        Result("RSS MiB, idle", once["idle RSS MiB"], RSS_MIB),
        Result("CPU % of a core, idle", once["idle CPU %"], IDLE_PERCENT),
    ]
