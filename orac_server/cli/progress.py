"""How far a load is, drawn on stderr when that is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .client import Json
from .output import escaped

Report = Callable[[Json], None]


@contextmanager
def loading(model: str) -> Iterator[Report]:
    """Draw the progress of a load; yields what takes each ``progress`` event."""
    if sys.stderr.isatty():
        with _bar(escaped(model)) as report:
            yield report
    else:
        yield lambda _: None


@contextmanager
def _bar(model: str) -> Iterator[Report]:
    from rich.console import Console  # noqa: PLC0415 - only when there is a terminal to draw on
    from rich.markup import escape  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(escape(model), total=None)

        def report(event: Json) -> None:
            text = event["message"] or event["stage"]
            progress.update(
                task,
                description=escape(f"{model}: {escaped(text)}"),
                completed=event["completed"],
                total=event["total"],
            )

        yield report
