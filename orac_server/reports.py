"""What the routes of benchmarks answer, so that a command without a server says the same."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from types import MappingProxyType

from attrs import frozen

from orac_core.benchmark import Benchmarks, Report
from orac_core.benchmark.exports import (
    comparison_json,
    comparison_markdown,
    entry_json,
    go_lines,
    page_policy,
    recommendation_json,
    report_csv,
    report_json,
    report_markdown,
    report_page,
)

from . import benches
from .benches import BenchmarkBody, ListQuery
from .wire import Json

POLICY = f"{page_policy()}; frame-ancestors 'none'"
"""For the page, in which nothing can run and from which nothing is fetched or framed."""


@frozen
class Form:
    """A way to tell a report.

    Attributes:
        write: Writes it.
        content_type: What that is.
        policy: The Content-Security-Policy that it needs; None for the usual one.
    """

    write: Callable[[Report], str]
    content_type: str
    policy: str | None = None


FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "csv": Form(report_csv, "text/csv"),
        "markdown": Form(report_markdown, "text/markdown"),
        "html": Form(report_page, "text/html", POLICY),
        "benchstat": Form(go_lines, "text/plain"),
    }
)


async def run(
    benchmarks: Benchmarks, body: BenchmarkBody
) -> AsyncGenerator[tuple[str, Json], None]:
    """Measure: ``progress`` events with the id of the run, then ``done`` with the document.

    Raises:
        InvalidRequest: when what is asked makes no sense.
        StateConflict: when another benchmark runs.
    """
    async with aclosing(benchmarks.run(body.request(benchmarks.settings))) as steps:
        async for step in steps:
            if isinstance(step, Report):
                yield "done", report_json(step)
            else:
                yield "progress", benches.progress(step, benchmarks.running)


async def listed(benchmarks: Benchmarks, asked: ListQuery) -> Json:
    """Return the answer of ``GET /v1/benchmarks``."""
    entries = await benchmarks.list(asked.limit, asked.model, asked.before)
    return {"object": "list", "data": [entry_json(each) for each in entries]}


async def document(benchmarks: Benchmarks, name: str, *, samples: bool = True) -> Json:
    """Return a report as a JSON document, the raw samples in it or null."""
    found = report_json(await benchmarks.get(name))
    return found if samples else {**found, "samples": None}


async def exported(benchmarks: Benchmarks, name: str, form: str) -> str:
    """Return a report as one of `FORMS`."""
    return FORMS[form].write(await benchmarks.get(name))


async def compared(benchmarks: Benchmarks, old: str, new: str) -> Json:
    """Return what has changed from one report to another."""
    return comparison_json(await benchmarks.compare(old, new))


async def compared_as_text(benchmarks: Benchmarks, old: str, new: str) -> str:
    """Return what has changed from one report to another, in Markdown."""
    return comparison_markdown(await benchmarks.compare(old, new))


async def recommended(benchmarks: Benchmarks) -> Json:
    """Return the answer of ``GET /v1/recommendations``."""
    return recommendation_json(await benchmarks.recommend())
