"""Keeps a record of what models were asked to do: one line of JSON for each load, answer, unload.

A line says who, when, how long and how it ended; never what was asked or answered. It goes to the
file that ``ORAC_AUDIT_FILE`` names, and nowhere when that is not set.
"""

import json
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Generator, Iterator
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar, TypeVar

from attrs import define, field

from orac_core import Chunk, GenerateRequest, LoadProgress, LoadRequest, hookimpl

FILE = "ORAC_AUDIT_FILE"
"""The variable that names the file."""

MIB = "ORAC_AUDIT_MIB"
"""The variable with its longest length in MiB; 10 where it is not set."""

logger = logging.getLogger("orac.audit")

T = TypeVar("T")


@define(eq=False)
class Record:
    """What is known of one call, written as a line when the call has ended."""

    operation: str
    instance: str
    model: str
    started: float = field(factory=perf_counter)
    outcome: str = "closed"
    details: dict[str, Any] = field(factory=dict)

    def noted(self, item: object) -> None:
        """Keep what the last piece of an answer tells: with it, the answer is whole."""
        if isinstance(item, Chunk) and item.done:
            self.outcome = "done"
            self.details = {
                "finish_reason": item.finish_reason,
                "prompt_tokens": item.usage.prompt_tokens,
                "completion_tokens": item.usage.completion_tokens,
            }

    def failed(self, error: Exception) -> None:
        """Keep the kind of the error; its text may quote what was asked."""
        self.outcome = "error"
        self.details["error"] = type(error).__name__

    def line(self) -> str:
        """Return it as JSON, with the time at which the call ended."""
        values = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "operation": self.operation,
            "instance": self.instance,
            "model": self.model,
            "outcome": self.outcome,
            "elapsed_ms": round((perf_counter() - self.started) * 1000, 3),
            **self.details,
        }
        return json.dumps(values) + "\n"


@define(eq=False)
class Audit:
    """The wrapper. It keeps nothing between calls, and opens its file for each line anew."""

    orac_hooks: ClassVar[str] = "1.0"

    @hookimpl(wrapper=True, tryfirst=True)
    def load(
        self, instance: str, request: LoadRequest
    ) -> Generator[None, AsyncGenerator[LoadProgress, None], AsyncGenerator[LoadProgress, None]]:
        """Record a load."""
        stream = yield
        return _watched(Record("load", instance, request.model), stream)

    @hookimpl(wrapper=True, tryfirst=True)
    def unload(
        self, instance: str, model: str
    ) -> Generator[None, Awaitable[None], Awaitable[None]]:
        """Record an unload."""
        answer = yield
        return _awaited(Record("unload", instance, model), answer)

    @hookimpl(wrapper=True, tryfirst=True)
    def generate(
        self, instance: str, request: GenerateRequest
    ) -> Generator[None, AsyncGenerator[Chunk, None], AsyncGenerator[Chunk, None]]:
        """Record an answer, with its tokens as the engine counted them."""
        stream = yield
        return _watched(Record("generate", instance, request.model), stream)


plugin = Audit()
"""What the entry point names."""


async def _awaited(record: Record, answer: Awaitable[T]) -> T:
    with _recording(record):
        value = await answer
        record.outcome = "done"
        return value


async def _watched(record: Record, stream: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    with _recording(record):
        async with aclosing(stream):
            async for item in stream:
                record.noted(item)
                yield item
        record.outcome = "done"


@contextmanager
def _recording(record: Record) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        record.failed(error)
        raise
    finally:
        write(record)


def write(record: Record) -> None:
    """Add *record* to the file; one that can not be written is told in the log and stops nobody."""
    if not (name := os.environ.get(FILE)):
        return
    try:
        append(Path(name), record.line(), longest_bytes(os.environ.get(MIB)))
    except (OSError, ValueError) as error:
        logger.warning("%s %s is not in the audit: %s", record.operation, record.model, error)


def longest_bytes(mib: str | None) -> int:
    """Return the length in bytes at which a file is full, of the text of the variable in MiB.

    Raises:
        ValueError: when that is no number above 0.
    """
    try:
        length = int(float(mib or 10) * 2**20)
    except (ValueError, OverflowError):
        length = 0
    if length < 1:
        raise ValueError(f"{MIB} must be a number of MiB above 0, not {mib!r}")
    return length


def append(path: Path, line: str, longest: int) -> None:
    """Add *line* to the file, which only its owner can read.

    A file that would get longer than *longest* bytes becomes ``NAME.1`` first, in place of the one
    before: so the two together never take more than twice that, and the older lines are gone.

    Raises:
        OSError: when it can not be written.
    """
    data = line.encode()
    if path.exists() and path.stat().st_size + len(data) > longest:
        path.replace(path.with_name(f"{path.name}.1"))
    place = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(place, data)
    finally:
        os.close(place)
