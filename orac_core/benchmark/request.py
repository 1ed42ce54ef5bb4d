"""What a benchmark is asked to do, and whether that makes sense."""

import math
from collections.abc import Iterator
from typing import Any, get_args

from attrs import asdict, frozen

from ..errors import InvalidRequest
from ..manifest import BenchmarkSettings
from .results import Suite, Workload
from .workloads import chosen

MIB = 1 << 20

SUITES: tuple[str, ...] = get_args(Suite)

RANGES = {
    "rounds": (1, 1000),
    "max_tokens": (1, 1 << 20),
    "missions": (1, 100_000),
    "seed": (0, 2**32 - 2),
}
"""The least and the largest of each whole number."""

MOST_MODELS = 64
MOST_PROMPTS = 100
MOST_PRESETS = 16
LONGEST_PROMPT = 1 << 20


@frozen
class Goals:
    """What an answer has to keep to be a good one; None is no goal.

    Attributes:
        ttft_s: Longest time to the first token.
        tpot_s: Longest time for each token after it.
        latency_s: Longest time for the whole.
    """

    ttft_s: float | None = None
    tpot_s: float | None = None
    latency_s: float | None = None

    @property
    def given(self) -> bool:
        """Whether there is any."""
        return any(value is not None for value in asdict(self).values())


NO_GOALS = Goals()


@frozen
class Limit:
    """What ends a soak before its time; None is no limit.

    Attributes:
        answer_over_s: An answer that takes longer.
        memory_over_bytes: A model that takes more memory.
        rate_under_tokens_per_second: A mission whose decode rate is lower.
    """

    answer_over_s: float | None = None
    memory_over_bytes: float | None = None
    rate_under_tokens_per_second: float | None = None


@frozen
class BenchmarkRequest:
    """What to measure, and how.

    Attributes:
        models: Names of the models; none for all that are loaded.
        suite: ``latency`` (speed), ``quality``, ``full`` (speed, quality and loads), or ``soak``
            (the same again and again, until something gives way).
        prompts: The user's own prompts, put into the chat template.
        presets: Names of workloads of random text: ``pp512+tg128``, ``pp512+tg128@d2048``,
            ``pp512+tg128c4``. Without prompts and presets it is one of 512 tokens.
        rounds: How often each is measured.
        max_tokens: Longest answer to a prompt.
        verify: Whether to check that the results can be trusted.
        energy: Whether to measure energy, with 5 s of rest before.
        loads: Whether to measure loads, cold and warm; None as the suite does: ``full`` only.
        goals: What a good answer keeps, for the goodput.
        seed: Of the random text; None for any. It is in the report.
        missions: How often a soak asks everything.
        limit: What ends a soak before its time.
        unload: Whether to unload at the end what the run has loaded.
    """

    models: tuple[str, ...] = ()
    suite: Suite = "latency"
    prompts: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()
    rounds: int = 5
    max_tokens: int = 128
    verify: bool = False
    energy: bool = False
    loads: bool | None = None
    goals: Goals = NO_GOALS
    seed: int | None = None
    missions: int = 20
    limit: Limit = Limit()
    unload: bool = False

    @classmethod
    def of(cls, settings: BenchmarkSettings, **asked: Any) -> "BenchmarkRequest":
        """Return what is *asked*, and the manifest's *settings* where nothing is asked."""
        defaults: dict[str, Any] = {
            "rounds": settings.rounds,
            "max_tokens": settings.max_tokens,
            "missions": settings.missions,
            "goals": Goals(settings.goal_ttft_s, settings.goal_tpot_s, settings.goal_latency_s),
            "limit": Limit(
                settings.answer_over_s,
                None if settings.memory_over_mib is None else settings.memory_over_mib * MIB,
                settings.rate_under_tokens_per_second,
            ),
        }
        return cls(**defaults | {name: it for name, it in asked.items() if it is not None})

    @property
    def measures_speed(self) -> bool:
        """Whether requests are timed at all."""
        return self.suite != "quality"

    @property
    def measures_quality(self) -> bool:
        """Whether tasks are asked."""
        return self.suite in {"quality", "full"}

    @property
    def measures_loads(self) -> bool:
        """Whether models are unloaded and loaded again to see how long that takes."""
        return self.suite == "full" if self.loads is None else self.loads

    def workloads(self) -> list[Workload]:
        """Return what is asked of each model, the headline first; nothing for quality alone."""
        return chosen(self.prompts, self.presets, self.max_tokens) if self.measures_speed else []

    def check(self) -> None:
        """Return when all of it makes sense.

        Raises:
            InvalidRequest: naming every value at fault by its path.
        """
        problems = dict(self._problems())
        if "max_tokens" not in problems:
            try:
                self.workloads()
            except InvalidRequest as error:
                problems |= error.details
        if problems:
            told = "; ".join(f"{path} {problem}" for path, problem in problems.items())
            raise InvalidRequest(told, problems)

    def _problems(self) -> Iterator[tuple[str, str]]:
        if self.suite not in SUITES:
            yield "suite", f"must be one of {', '.join(SUITES)}"
        yield from self._lists()
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not (value is None and name == "seed") and not _whole(value, low, high):
                yield name, f"must be a whole number from {low} to {high}"
        for table, values in (("goals", self.goals), ("limit", self.limit)):
            for name, value in asdict(values).items():
                if value is not None and not _positive(value):
                    yield f"{table}.{name}", "must be a number above 0"

    def _lists(self) -> Iterator[tuple[str, str]]:
        for name, most in (
            ("models", MOST_MODELS),
            ("prompts", MOST_PROMPTS),
            ("presets", MOST_PRESETS),
        ):
            texts = getattr(self, name)
            if len(texts) > most:
                yield name, f"must be at most {most}"
            for place, text in enumerate(texts[:most]):
                if not isinstance(text, str) or not 0 < len(text) <= LONGEST_PROMPT:
                    yield f"{name}.{place}", f"must be a text of 1 to {LONGEST_PROMPT} characters"


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _positive(value: object) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 < value < math.inf  # type: ignore[operator]
