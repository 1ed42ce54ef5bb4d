"""A report as one HTML file: nothing is fetched, nothing is run."""

import base64
import hashlib
import json
from collections.abc import Iterator
from importlib.resources import files

from ..recommend import Recommendation, recommend
from ..results import Report
from .charts import Chart, charts
from .figures import number
from .svg import Markup, element, text
from .tables import Table, side_by_side, speeds
from .wire import timestamp

_MOST_ANSWER = 2000


def report_page(report: Report) -> str:
    """Return a report with its charts, light or dark as the reader has it.

    Names of models and their answers are shown as text, whatever they are.
    """
    style = _style()
    title = f"Benchmark {report.id}"
    head = (
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{text(page_policy())}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        element("title", text(title)),
        element("style", style),
    )
    body = element("body", element("main", *_sections(report)))
    return f'<!doctype html>\n<html lang="en">{element("head", *head)}{body}</html>\n'


def page_policy() -> str:
    """Return the Content-Security-Policy of each page: it uses one style, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _style() -> str:
    return files(__package__).joinpath("page.css").read_text()


def _sections(report: Report) -> Iterator[Markup]:
    yield element("h1", text(f"Benchmark {report.id}"))
    yield element("p", text(_when(report)))
    yield from _verdict(report)
    yield element("h2", "All sides")
    yield _table(side_by_side(report))
    yield from _choice(recommend([report]))
    yield from map(_figure, charts(report))
    yield element("h2", "Speeds")
    yield _table(speeds(report))
    yield element("h2", "Machine")
    yield _pairs(report)
    yield from _answers(report)


def _when(report: Report) -> str:
    started, took = timestamp(report.started_at), number(report.seconds)
    return f"Suite {report.suite}, started {started}, {took} s, {report.ended}, {report.order}."


def _verdict(report: Report) -> Iterator[Markup]:
    found = report.verification
    if found is None:
        return
    yield element("p", text(found.verdict), class_="good" if found.trusted else "bad")
    words = {True: "passed", False: "failed", None: "unknown"}
    rows = tuple((check.name, words[check.passed], check.text) for check in found.checks)
    if rows:
        yield _table(Table(("check", "outcome", "found"), rows, range(0)))


def _choice(found: Recommendation) -> Iterator[Markup]:
    best = ", ".join(one.model for one in found.overall.candidates)
    if best:
        yield element("p", text(f"Worth choosing: {best}."))
    for one in found.overall.dominated:
        said = f"Nobody should pick {one.candidate.model}: beaten by {', '.join(one.by)}."
        yield element("p", text(said))
    yield from (element("p", text(f"{note}."), class_="faint") for note in found.notes)


def _figure(chart: Chart) -> Markup:
    said = element("figcaption", text(chart.summary))
    drawing = chart.drawing.replace(
        "<svg", '<svg role="img" aria-label="' + text(chart.title) + '"', 1
    )
    return element("h2", text(chart.title)) + element("figure", drawing, said)


def _table(found: Table) -> Markup:
    kinds = ["number" if at in found.numbers else None for at in range(len(found.heads))]
    heads = (element("th", text(cell), scope="col") for cell in found.heads)
    rows = (
        element(
            "tr",
            *(
                element("td", text(cell), class_=kind)
                for cell, kind in zip(row, kinds, strict=True)
            ),
        )
        for row in found.rows
    )
    whole = element("table", element("thead", element("tr", *heads)), element("tbody", *rows))
    return element("div", whole, class_="wide", tabindex="0", role="region", aria_label="table")


def _pairs(report: Report) -> Markup:
    rows = tuple(
        (name, value if isinstance(value, str) else json.dumps(value, default=str))
        for name, value in (*report.host.items(), *report.options.items())
        if value is not None
    )
    return _table(Table(("what", "value"), rows, range(0)))


def _answers(report: Report) -> Iterator[Markup]:
    given = [result for result in report.results if result.answer]
    if given:
        yield element("h2", "Answers")
    for result in given:
        shown = result.answer[:_MOST_ANSWER]
        yield element("h3", text(result.subject.model)) + element("pre", text(shown))
