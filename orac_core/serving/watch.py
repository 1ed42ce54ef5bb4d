"""Watching how fast each model answers: what is noted around loads and answers."""

import logging
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from attrs import define, field

from ..devices import Memory, Sensors
from ..pace import Evidence, Pace
from ..types import Answer, ModelInfo, ModelState

logger = logging.getLogger("orac.serving")

Key = tuple[str, str]
"""Names of the instance and the model."""


@define(eq=False)
class Company:
    """Whether an answer is made alone; answers at the same time slow each other down."""

    alone: bool = True


@define(eq=False)
class _Record:
    """What is known of one model.

    Attributes:
        pace: How fast it answers, and how fast it used to.
        loads: How often it was loaded.
        memory: The machine's memory just before the last load: afterwards the model itself may
            count as page cache.
        on_gpu_ratio: Share of it on the GPU, as last reported.
        settings: What it was asked to be loaded with.
    """

    pace: Pace = field(factory=Pace)
    loads: int = 0
    memory: Memory = field(factory=Memory)
    on_gpu_ratio: float | None = None
    settings: Hashable = None


@define(eq=False)
class Watch:
    """The speed of every model, compared with what it was.

    Attributes:
        sensors: Tell what the machine does.
        versions: Version of each instance's engine, as last told.
    """

    sensors: Sensors
    versions: dict[str, str] = field(factory=dict, init=False)
    _records: dict[Key, _Record] = field(factory=dict, init=False)
    _running: set[Company] = field(factory=set, init=False)

    async def loading(self, key: Key, settings: Hashable) -> None:
        """Take note that a model is about to be loaded with those *settings*."""
        record = self._record(key)
        record.loads += 1
        record.settings = settings
        record.on_gpu_ratio = None
        record.memory = (await self.sensors.look()).memory

    @contextmanager
    def answering(self) -> Iterator[Company]:
        """Keep an eye on who answers at the same time."""
        company = Company(alone=not self._running)
        for other in self._running:
            other.alone = False
        self._running.add(company)
        try:
            yield company
        finally:
            self._running.discard(company)

    def answered(self, key: Key, answer: Answer, company: Company) -> None:
        """Compare the speed of an answer that was made alone with that of earlier ones."""
        if not company.alone:
            return
        record, usage = self._record(key), answer.usage
        event = record.pace.add(
            answer.rates.decode_tokens_per_second,
            usage.completion_tokens,
            Evidence(
                on_gpu_ratio=record.on_gpu_ratio,
                available_bytes=record.memory.available_bytes,
                free_bytes=record.memory.free_bytes,
                swap_free_bytes=record.memory.swap_free_bytes,
                loads_since_start=record.loads,
                engine_version=self.versions.get(key[0]),
                context_tokens=(usage.prompt_tokens or 0) + (usage.completion_tokens or 0),
            ),
            key=record.settings,
        )
        if event is not None:
            logger.warning("%s/%s is %s", *key, event)

    def seen(self, key: Key, info: ModelInfo) -> str | None:
        """Learn from a report of the engine; return the warning about the model, if there is one.

        A slow model is worth one only while it is loaded.
        """
        if info.state is not ModelState.READY:
            return info.warning
        record = self._record(key)
        if info.loaded is not None:
            record.on_gpu_ratio = info.loaded.on_gpu_ratio
        slow = record.pace.slowdown
        told = [str(slow)] if slow is not None and slow.verdict == "degraded" else []
        return "; ".join(filter(None, (info.warning, *told))) or None

    def _record(self, key: Key) -> _Record:
        return self._records.setdefault(key, _Record())
