"""Reports and comparisons as Markdown, for people and for issues."""

import re
from collections.abc import Iterator

from ..compare import Comparison
from ..results import Report
from .tables import Table, changes, side_by_side, speeds
from .wire import timestamp

# A name is to stay readable: what is markup only between certain signs is escaped only there.
_MARKUP = re.compile(r"[\\`*<>|#&!]|(?<!\w)_|_(?!\w)|~(?=\S)|(?<=\])[(\[:]")


def report_markdown(report: Report) -> str:
    """Return a report: who was measured, the speeds as ``llama-bench`` tells them, all sides."""
    parts = (
        f"## Benchmark {text(report.id)}",
        "\n".join(_facts(report)),
        table(speeds(report)),
        table(side_by_side(report)),
    )
    return "\n\n".join(parts) + "\n"


def comparison_markdown(found: Comparison) -> str:
    """Return two reports side by side; ``~`` is not distinguishable."""
    parts = [f"## {text(found.old)} against {text(found.new)}"]
    if found.differences:
        parts.append("\n".join(f"- {text(str(one))}" for one in found.differences))
    parts.append(table(changes(found)))
    for name, models in (("old", found.only_old), ("new", found.only_new)):
        if models:
            parts.append(f"Only in the {name} one: {', '.join(map(text, models))}")
    return "\n\n".join(parts) + "\n"


def table(found: Table) -> str:
    """Return a table, its columns of numbers to the right."""
    rule = [" ---: " if at in found.numbers else " --- " for at in range(len(found.heads))]
    return "\n".join((_line(found.heads), f"|{'|'.join(rule)}|", *map(_line, found.rows)))


def text(words: str) -> str:
    """Return *words* so that they are shown as they are, on one line."""
    plain = " ".join(words.encode(errors="replace").decode().split())
    return _MARKUP.sub(r"\\\g<0>", plain)


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(map(text, cells))} |"


def _facts(report: Report) -> Iterator[str]:
    yield f"- started {timestamp(report.started_at)}, {text(report.suite)}, {text(report.ended)}"
    for name, value in report.host.items():
        if isinstance(value, str | int | float):
            yield f"- {text(str(name))}: {text(str(value))}"
    if report.verification:
        trusted = "can be trusted" if report.verification.trusted else "can not be trusted"
        yield f"- {trusted}: {text(report.verification.verdict)}"
