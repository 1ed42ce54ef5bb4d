"""A service whose log is kept, so that a test can read it."""

import io
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from attrs import define
from prometheus_client.parser import text_string_to_metric_families

import orac_core
from orac_core.manifest import parse
from orac_server.logs import Lines
from orac_server.observing.writer import Writer
from tests.scripted import ScriptedBackend, plugins
from tests.server.serving import Reply, Service, service

Labels = frozenset[tuple[str, str]]


@define(eq=False)
class Watched:
    """A service, and what it writes."""

    service: Service
    lines: Lines
    stream: Any

    @property
    def text(self) -> str:
        """All that was written."""
        assert self.lines.writer.flush(10)
        return str(self.stream.getvalue())

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines, decoded."""
        return [json.loads(line) for line in self.text.split("\n")[:-1]]

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The lines of requests."""
        return [each for each in self.log if each["event"] == "request"]

    async def metrics(self) -> dict[str, dict[Labels, float]]:
        """Scrape; return every sample by its name and its labels."""
        return samples(await self.service.get("/metrics"))


def samples(reply: Reply) -> dict[str, dict[Labels, float]]:
    """Return every sample of a scrape, by its name and its labels."""
    assert reply.status == 200
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(reply.body.decode()):
        for each in family.samples:
            found.setdefault(each.name, {})[frozenset(each.labels.items())] = each.value
    return found


def labels(**values: str) -> Labels:
    """Return labels as `samples` has them."""
    return frozenset(values.items())


@asynccontextmanager
async def watched(
    backend: ScriptedBackend,
    stream: Any = None,
    *,
    level: int = logging.INFO,
    sensors: Any = None,
    **options: Any,
) -> AsyncIterator[Watched]:
    """Serve a scripted backend with a log."""
    manifest = parse({"backends": {"fake": {"kind": "scripted"}}}, "a test")
    stream = stream or io.StringIO()
    lines = Lines(Writer(stream), level)
    opening = orac_core.open(manifest, plugins=plugins(backend), environ={}, sensors=sensors)
    async with opening as manager, service(manager, lines=lines, **options) as served:
        yield Watched(served, lines, stream)
