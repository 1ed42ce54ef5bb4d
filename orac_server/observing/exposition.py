"""Metrics as Prometheus reads them: its text format, or OpenMetrics where that is asked for.

The library is imported with the first question, as it takes memory that many have no use for.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from attrs import frozen

from .table import TABLE, Metric
from .tallies import Histogram, Sample

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family


def text(samples: Iterable[Sample], accept: str) -> tuple[bytes, str]:
    """Return *samples* and what is known of this process, with their content type.

    Args:
        samples: The numbers, in any order.
        accept: The header ``Accept`` of who asks.
    """
    from prometheus_client import CollectorRegistry, ProcessCollector  # noqa: PLC0415
    from prometheus_client.exposition import choose_encoder  # noqa: PLC0415

    registry = CollectorRegistry()
    registry.register(_Families(samples))
    ProcessCollector(registry=registry)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


@frozen
class _Families:
    """Gives each metric that has a number, in the order of the table."""

    samples: Iterable[Sample]

    def describe(self) -> Iterable["Family"]:
        return ()

    def collect(self) -> Iterator["Family"]:
        found: dict[str, list[Sample]] = {}
        for sample in self.samples:
            if sample[2] is not None:
                found.setdefault(sample[0], []).append(sample)
        return (_family(each, found[each.name]) for each in TABLE if each.name in found)


def _family(metric: Metric, samples: list[Sample]) -> "Family":
    from prometheus_client.core import Metric as Family  # noqa: PLC0415

    family = Family(metric.name.removesuffix("_total"), metric.help, metric.kind)
    for _, values, value in samples:
        labels = dict(zip(metric.labels, values, strict=True))
        if isinstance(value, Histogram):
            _add(family, metric.name, labels, value)
        else:
            family.add_sample(metric.name, labels, float(value or 0))
    return family


def _add(family: "Family", name: str, labels: dict[str, str], histogram: Histogram) -> None:
    so_far = 0
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        so_far += count
        family.add_sample(
            f"{name}_bucket", {**labels, "le": str(bound).replace("inf", "+Inf")}, so_far
        )
    family.add_sample(f"{name}_count", labels, so_far)
    family.add_sample(f"{name}_sum", labels, histogram.sum)
