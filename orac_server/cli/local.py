"""Benchmarks in this process, with the answers that a server would give."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Protocol

from attrs import define, field

from orac_core import ModelManager

from ..workshop import Workshop
from .client import Json


class Benches(Protocol):
    """What a server and this process can do with benchmarks alike."""

    def bench(self, body: Mapping[str, Any]) -> AsyncGenerator[tuple[str, Json], None]:
        """Measure: ``progress`` events with the id of the run, then ``done`` with the document."""

    async def benchmarks(self, model: str | None = None) -> Json:
        """Return the runs that are kept, as ``GET /v1/benchmarks`` lists them."""

    async def benchmark(self, name: str, *, samples: bool = True) -> Json:
        """Return one run, as ``GET /v1/benchmarks/{id}`` shows it."""

    async def exported(self, name: str, form: str, against: str | None = None) -> str:
        """Return one run as text in another format, or what has changed from another to it."""

    async def comparison(self, old: str, new: str) -> Json:
        """Return what has changed from one run to another."""

    async def recommendations(self) -> Json:
        """Return which models to take for what, as ``GET /v1/recommendations`` does."""


# What measures is imported by who measures: other commands start without it.
@define(eq=False)
class LocalBenches:
    """The benchmarks of this process.

    Attributes:
        manager: Has the models.
    """

    manager: ModelManager
    _workshop: Workshop = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._workshop = Workshop(self.manager)

    async def bench(self, body: Mapping[str, Any]) -> AsyncGenerator[tuple[str, Json], None]:
        """Measure: ``progress`` events with the id of the run, then ``done`` with the document."""
        from .. import benches, reports, schema  # noqa: PLC0415

        asked = schema.structure({**body}, benches.BenchmarkBody)
        async with aclosing(reports.run(self._workshop.benchmarks, asked)) as events:
            async for event in events:
                yield event

    async def benchmarks(self, model: str | None = None) -> Json:
        """Return the runs that are kept, as ``GET /v1/benchmarks`` lists them."""
        from .. import benches, reports  # noqa: PLC0415

        return await reports.listed(self._workshop.benchmarks, benches.ListQuery(model=model))

    async def benchmark(self, name: str, *, samples: bool = True) -> Json:
        """Return one run, as ``GET /v1/benchmarks/{id}`` shows it."""
        from .. import reports  # noqa: PLC0415

        return await reports.document(self._workshop.benchmarks, name, samples=samples)

    async def exported(self, name: str, form: str, against: str | None = None) -> str:
        """Return one run as text in another format, or what has changed from another to it."""
        from .. import reports  # noqa: PLC0415

        if against is not None:
            return await reports.compared_as_text(self._workshop.benchmarks, against, name)
        return await reports.exported(self._workshop.benchmarks, name, form)

    async def comparison(self, old: str, new: str) -> Json:
        """Return what has changed from one run to another."""
        from .. import reports  # noqa: PLC0415

        return await reports.compared(self._workshop.benchmarks, old, new)

    async def recommendations(self) -> Json:
        """Return which models to take for what, as ``GET /v1/recommendations`` does."""
        from .. import reports  # noqa: PLC0415

        return await reports.recommended(self._workshop.benchmarks)

    async def close(self) -> None:
        """Let go of the history of benchmarks; no error when it was not used."""
        await self._workshop.close()
