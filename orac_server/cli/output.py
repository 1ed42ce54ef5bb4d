"""How the commands speak: data on stdout, everything else on stderr, nothing that moves a cursor.

Names and texts come from files and from models. On a terminal, and within a line, what does not
print is escaped, so that no name can forge a line and no answer can take over the terminal.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any

import click
from attrs import define, frozen

KIB = 1024

_ANY_WIDTH = 10_000


@frozen
class Marks:
    """The signs in front of a line of findings."""

    good: str
    bad: str
    warning: str
    neutral: str


SIGNS = Marks("✓", "✗", "!", "–")  # noqa: RUF001 - a dash that is not mistaken for a minus
ASCII_SIGNS = Marks("ok", "XX", "!!", "--")


def marks(stream: IO[str] | None = None) -> Marks:
    """Return the signs that *stream*, by default stdout, can show."""
    encoding = getattr(stream or sys.stdout, "encoding", None) or "ascii"
    try:
        f"{SIGNS.good}{SIGNS.bad}{SIGNS.neutral}".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return ASCII_SIGNS
    return SIGNS


def never_fail_on_a_letter() -> None:
    """Let both streams escape what their encoding can not write instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # it may have been closed
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def escaped(text: str, allowed: str = "") -> str:
    """Return *text* with everything escaped that does not print and is not *allowed*."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in allowed else repr(letter)[1:-1]
        for letter in text
    )


def note(text: str) -> None:
    """Say something about the work, on stderr; further lines are indented."""
    first, *more = text.splitlines() or [""]
    lines = (f"orac: {first}", *(f"  {line.strip()}" for line in more))
    _write(sys.stderr, "".join(f"{escaped(line)}\n" for line in lines))


def say(text: str, *, bold: bool = False) -> None:
    """Write a line of data, escaped."""
    line = escaped(text)
    _write(
        sys.stdout, f"{click.style(line, bold=True) if bold and sys.stdout.isatty() else line}\n"
    )


def piece(text: str) -> None:
    """Write a piece of an answer as it is; on a terminal without what could control it."""
    _write(sys.stdout, escaped(text, "\n\t") if sys.stdout.isatty() else text)


def as_json(value: object) -> None:
    """Write *value* as one JSON document."""
    _write(sys.stdout, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def as_json_line(value: object) -> None:
    """Write *value* as JSON in one line."""
    _write(sys.stdout, json.dumps(value, ensure_ascii=False) + "\n")


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], dispensable: Sequence[str] = ()
) -> None:
    """Write a table: drawn on a terminal, else one line for each row with tabs between cells.

    Of the *dispensable* columns, the first to go first, only those are drawn that fit beside the
    others.
    """
    cells = [[escaped(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _drawn(columns, cells, dispensable)
    else:
        _write(sys.stdout, "".join("\t".join(row) + "\n" for row in (columns, *cells)))


def _write(stream: IO[str], text: str) -> None:
    stream.write(text)
    stream.flush()


def _drawn(
    columns: Sequence[str], rows: Sequence[Sequence[str]], dispensable: Sequence[str]
) -> None:
    from rich.console import Console  # noqa: PLC0415 - only when there is a terminal to draw on

    console = Console(highlight=False)
    drawing = _drawing(columns, rows)
    anywhere = console.options.update(width=_ANY_WIDTH)
    for name in dispensable:
        if console.measure(drawing, options=anywhere).maximum <= console.width:
            break
        at = columns.index(name)
        columns, rows = _without(columns, at), [_without(row, at) for row in rows]
        drawing = _drawing(columns, rows)
    console.print(drawing)


def _without(row: Sequence[str], at: int) -> Sequence[str]:
    return [*row[:at], *row[at + 1 :]]


def _drawing(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    from rich.table import Table  # noqa: PLC0415 - only when there is a terminal to draw on
    from rich.text import Text  # noqa: PLC0415

    drawing = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        drawing.add_row(*(Text(cell, overflow="fold") for cell in row))
    return drawing


@define(eq=False)
class Waiting:
    """What is shown while something is under way: one line that changes."""

    _status: Any = None

    def show(self, text: str) -> None:
        """Change the line."""
        if self._status is not None:
            self._status.update(_shown(text))

    def stop(self) -> None:
        """Take the line away, before the work is done."""
        if self._status is not None:
            self._status.stop()


@contextmanager
def waiting(text: str) -> Iterator[Waiting]:
    """Show on a terminal that something is under way."""
    if not sys.stderr.isatty():
        yield Waiting()
        return
    from rich.console import Console  # noqa: PLC0415 - only when there is a terminal to draw on

    with Console(stderr=True, highlight=False).status(_shown(text)) as status:
        yield Waiting(status)


def _shown(text: str) -> Any:
    from rich.text import Text  # noqa: PLC0415 - only when there is a terminal to draw on

    return Text(escaped(text))


def size(size_bytes: int | None) -> str:
    """Return a size as people read it; ``-`` for None."""
    if size_bytes is None:
        return "-"
    if size_bytes < 0:
        return f"-{size(-size_bytes)}"
    amount, units = float(size_bytes), ["B", "KiB", "MiB", "GiB", "TiB"]
    while amount >= KIB and len(units) > 1:
        amount /= KIB
        units.pop(0)
    return f"{amount:.0f} B" if units[0] == "B" else f"{amount:.1f} {units[0]}"


def count(number: int | None) -> str:
    """Return a number of weights as people read it: ``596.0M``; ``-`` for None."""
    if number is None:
        return "-"
    for unit, one in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if number >= one:
            return f"{number / one:.1f}{unit}"
    return str(number)


def plain(value: object) -> str:
    """Return a cell: ``-`` for what is not known."""
    if value is None or value in ("", [], ()):
        return "-"
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def listed(facts: Mapping[str, object]) -> str:
    """Return the known ones of some facts in one line: ``context 512, 4 layers``."""
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
