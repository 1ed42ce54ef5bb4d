"""The metrics, by what they are about."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, ProcessCollector

from orac_server.observing.table import GROUPS, Metric

from .markdown import code, codes, table

HEADS = ("metric", "kind", "labels", "what")


def sections() -> dict[str, str]:
    """Return a table for each group, and one of what is known of the process."""
    groups = {name: table(HEADS, map(_row, metrics)) for name, metrics in GROUPS.items()}
    return {**groups, "process": table(HEADS, of_the_process())}


def of_the_process() -> Iterable[tuple[str, ...]]:
    """Yield what prometheus-client tells of the process that asks it."""
    for each in ProcessCollector(registry=CollectorRegistry()).collect():
        name = f"{each.name}_total" if each.type == "counter" else each.name
        yield code(name), each.type, "", each.documentation


def _row(metric: Metric) -> tuple[str, ...]:
    return code(metric.name), metric.kind, codes(metric.labels), metric.help
