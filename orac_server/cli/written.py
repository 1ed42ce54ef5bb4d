"""How a command writes what it found: as a table, as JSON, or as text that is made already."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from attrs import frozen

from orac_core import OracError

from .client import Json
from .output import as_json, note, piece


@frozen
class Form:
    """How to write.

    Attributes:
        name: ``table``, ``json``, or another format of a report.
        output: The file to write to; None for stdout.
    """

    name: str
    output: Path | None = None


def write(form: Form, document: Json, text: str | None, show: Callable[[Json], None]) -> None:
    """Write *text* where there is one, else *document*: as JSON, or by *show*.

    Raises:
        OracError: when the file can not be written.
    """
    with _opened(form.output):
        if text is not None:
            piece(text)
        elif form.name == "json":
            as_json(document)
        else:
            show(document)
    if form.output is not None:
        note(f"written to {form.output}")


@contextmanager
def _opened(output: Path | None) -> Iterator[None]:
    if output is None:
        yield
        return
    try:
        with (
            output.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
            redirect_stdout(file),
        ):
            yield
    except OSError as error:
        raise OracError(f"{output} can not be written: {error.strerror}; name another") from error
