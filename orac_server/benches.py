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

from .requests import Name
from .wire import MILLISECONDS, Json

Above = Annotated[float, Meta(gt=1e-9, le=1e12)]
"""More or less than that is no number any more once it is reckoned with in seconds and bytes."""
Rounds = Annotated[int, Meta(ge=RANGES["rounds"][0], le=RANGES["rounds"][1])]
Longest = Annotated[int, Meta(ge=RANGES["max_tokens"][0], le=RANGES["max_tokens"][1])]
Missions = Annotated[int, Meta(ge=RANGES["missions"][0], le=RANGES["missions"][1])]
Seed = Annotated[int, Meta(ge=RANGES["seed"][0], le=RANGES["seed"][1])]
Prompt = Annotated[str, Meta(min_length=1, max_length=LONGEST_PROMPT)]
COUNT = "[1-9][0-9]{0,5}"
PRESET = rf"^pp{COUNT}\+tg{COUNT}(@d(0|{COUNT}))?(c([1-9]|[1-5][0-9]|6[0-4]))?$"
Preset = Annotated[str, Meta(min_length=1, max_length=64, extra_json_schema={"x-pattern": PRESET})]
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
    """What a good answer keeps; what is null stays as the manifest has it.

    Attributes:
        ttft_ms: Longest time to the first token.
        tpot_ms: Longest time for each token after it.
        latency_ms: Longest time for the whole.
    """

    ttft_ms: Above | None = None
    tpot_ms: Above | None = None
    latency_ms: Above | None = None

    def over(self, goals: Goals) -> Goals:
        """Return *goals* with those that are given here instead."""
        given = {f"{name[:-3]}_s": ms / MILLISECONDS for name, ms in _known(self).items()}
        return evolve(goals, **given)


@frozen(kw_only=True)
class LimitBody:
    """What ends a soak before its time; what is null stays as the manifest has it.

    Attributes:
        answer_over_s: An answer that takes longer.
        memory_over_mib: A model that takes more memory.
        rate_under_tokens_per_second: A mission whose decode rate is lower.
    """

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
    """The body of ``POST /v1/benchmark``; what is null is as the manifest has it.

    Attributes:
        models: Names of the models; those that are loaded when it is left out.
        suite: ``latency`` (speed), ``quality``, ``full`` (speed, quality and loads), or ``soak``
            (the same again and again, until something gives way).
        prompts: Prompts of your own.
        presets: Workloads of random text: ``pp512+tg128``, ``pp512+tg128@d2048``,
            ``pp512+tg128c4``.
        rounds: How often each is measured.
        max_tokens: Longest answer to a prompt.
        verify: Whether to check that the results can be trusted.
        energy: Whether to measure energy, with 5 s of rest before.
        loads: Whether to measure loads, cold and warm.
        goals: What a good answer keeps.
        missions: How often a soak asks everything.
        limit: What ends a soak before its time.
        seed: Of the random text.
        unload: Whether to unload at the end what was loaded for it.
        stream: Whether to stream.
    """

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
        format: How to tell it; a comparison only as ``json`` or ``markdown``.
        samples: Whether with all raw samples; false leaves them null.
        against: Id of another run: the answer says what changed from that to this.
    """

    format: Literal["json", "csv", "markdown", "html", "benchstat"] = "json"
    samples: bool = True
    against: Id | None = None


def progress(told: Progress, id_: str | None) -> Json:
    """Return an event ``progress`` of a run."""
    return {"id": id_, **asdict(told)}


def _known(value: Any) -> dict[str, Any]:
    return asdict(value, recurse=False, filter=lambda _, found: found is not None)
