"""Benchmarks over the wire: the bodies and queries of their routes, and events of a run."""

from typing import Annotated, Any, Literal

from attrs import asdict, evolve, frozen
from msgspec import Meta

from orac_core.benchmark import (
    LONGEST_PROMPT,
    MIB,
    MOST_MODELS,
    MOST_PRESETS,
    MOST_PROMPTS,
    RANGES,
    BenchmarkRequest,
    Goals,
    Limit,
    Progress,
)
from orac_core.manifest import BenchmarkSettings

from .wire import MILLISECONDS, Json, Name

Above = Annotated[float, Meta(gt=0)]
Rounds = Annotated[int, Meta(ge=RANGES["rounds"][0], le=RANGES["rounds"][1])]
Longest = Annotated[int, Meta(ge=RANGES["max_tokens"][0], le=RANGES["max_tokens"][1])]
Missions = Annotated[int, Meta(ge=RANGES["missions"][0], le=RANGES["missions"][1])]
Seed = Annotated[int, Meta(ge=RANGES["seed"][0], le=RANGES["seed"][1])]
Prompt = Annotated[str, Meta(min_length=1, max_length=LONGEST_PROMPT)]
Preset = Annotated[str, Meta(min_length=1, max_length=64)]
Id = Annotated[str, Meta(min_length=1, max_length=100)]

MOST_LISTED = 1000

SAME = frozenset(
    {
        *("models", "suite", "prompts", "presets", "rounds", "max_tokens", "verify", "energy"),
        *("loads", "missions", "seed", "unload"),
    }
)
"""The keys of the body that are the library's own."""


@frozen(kw_only=True)
class GoalsBody:
    """What a good answer keeps; what is null stays as the manifest has it."""

    ttft_ms: Above | None = None
    tpot_ms: Above | None = None
    latency_ms: Above | None = None

    def over(self, goals: Goals) -> Goals:
        """Return *goals* with those that are given here instead."""
        given = {f"{name[:-3]}_s": ms / MILLISECONDS for name, ms in _known(self).items()}
        return evolve(goals, **given)


@frozen(kw_only=True)
class LimitBody:
    """What ends a soak before its time; what is null stays as the manifest has it."""

    answer_over_s: Above | None = None
    memory_over_mib: Above | None = None
    rate_under_tokens_per_second: Above | None = None

    def over(self, limit: Limit) -> Limit:
        """Return *limit* with what is given here instead."""
        given = _known(self)
        if (mib := given.pop("memory_over_mib", None)) is not None:
            given["memory_over_bytes"] = mib * MIB
        return evolve(limit, **given)


@frozen(kw_only=True)
class BenchmarkBody:
    """The body of ``POST /v1/benchmark``; what is null is as the manifest has it."""

    models: Annotated[tuple[Name, ...], Meta(max_length=MOST_MODELS)] | None = None
    suite: Literal["latency", "quality", "full", "soak"] | None = None
    prompts: Annotated[tuple[Prompt, ...], Meta(max_length=MOST_PROMPTS)] | None = None
    presets: Annotated[tuple[Preset, ...], Meta(max_length=MOST_PRESETS)] | None = None
    rounds: Rounds | None = None
    max_tokens: Longest | None = None
    verify: bool | None = None
    energy: bool | None = None
    loads: bool | None = None
    goals: GoalsBody | None = None
    missions: Missions | None = None
    limit: LimitBody | None = None
    seed: Seed | None = None
    unload: bool | None = None
    stream: bool = False

    def request(self, settings: BenchmarkSettings) -> BenchmarkRequest:
        """Return what to measure, for the library."""
        given = {name: value for name, value in _known(self).items() if name in SAME}
        asked = BenchmarkRequest.of(settings, **given)
        return evolve(
            asked,
            goals=(self.goals or GoalsBody()).over(asked.goals),
            limit=(self.limit or LimitBody()).over(asked.limit),
        )


@frozen(kw_only=True)
class ListQuery:
    """The query of ``GET /v1/benchmarks``.

    Attributes:
        limit: How many, the newest first.
        before: Id of a run; those that began earlier are listed.
        model: Only runs in which this model was measured.
    """

    limit: Annotated[int, Meta(ge=1, le=MOST_LISTED)] = 50
    before: Id | None = None
    model: Name | None = None


@frozen(kw_only=True)
class ShowQuery:
    """The query of ``GET /v1/benchmarks/{id}``.

    Attributes:
        format: How to tell it.
        samples: Whether with all raw samples.
        against: Id of an earlier run to compare it with.
    """

    format: Literal["json", "csv", "markdown", "html", "benchstat"] = "json"
    samples: bool = True
    against: Id | None = None


def progress(told: Progress, id_: str | None) -> Json:
    """Return an event ``progress`` of a run."""
    return {"id": id_, **asdict(told)}


def _known(value: Any) -> dict[str, Any]:
    return asdict(value, recurse=False, filter=lambda _, found: found is not None)
