"""What is counted while the service runs: plain numbers, read when somebody asks for metrics."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from typing import Any

from attrs import define, field

from .table import TABLE, Metric

Labels = tuple[str, ...]
"""The values of a metric's labels, in the order of its names."""


@define(eq=False)
class Histogram:
    """How many values were not over each bound, and their sum.

    Attributes:
        bounds: Upper bounds, rising; one more bucket holds what is over all of them.
        sum: Of all values.
        counts: Values in each bucket alone.
    """

    bounds: tuple[float, ...]
    sum: float = field(default=0.0, init=False)
    counts: list[int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Take a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


@define(eq=False)
class Tallies:
    """Counters and histograms by name of the metric and values of its labels."""

    _counters: Mapping[str, defaultdict[Labels, float]] = field(init=False)
    _histograms: Mapping[str, dict[Labels, Histogram]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._counters = {each.name: defaultdict(float) for each in TABLE if each.tallied}
        self._histograms = {each.name: {} for each in TABLE if each.kind == "histogram"}

    def count(self, name: str, labels: Labels = (), by: float = 1) -> None:
        """Add to a counter."""
        self._counters[name][labels] += by

    def keep(self, name: str, labels: Labels, value: float) -> None:
        """Keep the last value of a gauge."""
        self._counters[name][labels] = value

    def observe(self, name: str, labels: Labels, value: float) -> None:
        """Add a value to a histogram."""
        found = self._histograms[name]
        histogram = found.get(labels)
        if histogram is None:
            histogram = found[labels] = Histogram(TABLE_BY_NAME[name].bounds)
        histogram.add(value)

    def forget(self, models: Container[tuple[str, str]]) -> None:
        """Forget everything about models that are not among these: they are there no more."""
        for name in filter(lambda each: TABLE_BY_NAME[each].of_a_model, TABLE_BY_NAME):
            _keep_only(self._counters.get(name, {}), models)
            _keep_only(self._histograms.get(name, {}), models)

    def samples(self) -> Iterator["Sample"]:
        """Yield every number with the name of its metric and its labels."""
        for name, counters in self._counters.items():
            yield from ((name, labels, value) for labels, value in counters.items())
        for name, histograms in self._histograms.items():
            yield from ((name, labels, each) for labels, each in histograms.items())


def _keep_only(found: dict[Labels, Any], models: Container[tuple[str, str]]) -> None:
    for labels in [each for each in found if each[:2] not in models]:
        del found[labels]


Sample = tuple[str, Labels, float | Histogram | None]
"""Name of the metric, values of its labels, and the number; None where nothing says it."""

TABLE_BY_NAME: Mapping[str, Metric] = {each.name: each for each in TABLE}
