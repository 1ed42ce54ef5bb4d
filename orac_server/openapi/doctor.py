"""Answers about slow models."""

from typing import Annotated, Literal

from attrs import frozen

from orac_core.doctor import Attempt, Cause, Trial

from .kinds import Interval, Plain, one_of

STAGES = tuple(dict.fromkeys(each.value for each in (*Trial, *Attempt)))
"""What can be done in an examination."""


@frozen
class LikelyCause:
    """Why a model is slow.

    Attributes:
        cause: Its name.
        likelihood: 0 to 1.
        evidence: The numbers that speak for it, in sentences.
        remedy: What to do.
        command: What to type; null when there is no one command. ORAC never runs it.
        reversible: Whether ORAC can try the remedy by itself.
    """

    cause: Cause
    likelihood: float
    evidence: list[str]
    remedy: str
    command: str | None
    reversible: bool


@frozen
class Speed:
    """A rate, in tokens per second.

    Attributes:
        p50: The median.
        ci95: Its 95 % interval; null of a single sample.
        n: Number of samples.
    """

    p50: float
    ci95: Interval | None
    n: int


@frozen(kw_only=True)
class Tested:
    """What was tried, and how fast the model was with it.

    Attributes:
        message: What it is, in words.
        tokens_per_second: The rate; null where it could not be measured.
        former_ratio: The rate as a share of the one before.
        former_ci95: The interval of that.
        baseline_ratio: The rate as a share of the usual one.
        baseline_ci95: The interval of that.
        error: Why it could not be made; null when it could.
    """

    message: str
    tokens_per_second: Speed | None
    former_ratio: float | None
    former_ci95: Interval | None
    baseline_ratio: float | None
    baseline_ci95: Interval | None
    error: str | None


@frozen(kw_only=True)
class ExperimentStep(Tested):
    """One step of an experiment.

    Attributes:
        name: What was done.
        changed: Whether the rate surely changed; null when that can not be told.
        on_gpu_ratio: Share of the model on the GPU, 0 to 1.
    """

    name: Trial
    changed: bool | None
    on_gpu_ratio: float | None


@frozen(kw_only=True)
class TriedRemedy(Tested):
    """One attempt to make a model faster.

    Attributes:
        name: What was done.
        worked: Whether the model is faster for it; null when that can not be told.
    """

    name: Attempt
    worked: bool | None


@frozen
class ExperimentOutcome:
    """What an experiment came to.

    Attributes:
        steps: What was done, in this order.
        conclusion: What follows, in words.
        cause: The cause; null when none was found.
        cure: The step that made it fast again; null when none did.
        findings: The causes, the likeliest first.
        ended: `completed`, `deadline` or `cancelled`.
        trouble: Why the model does not stand as it was found; null when it does.
    """

    steps: list[ExperimentStep]
    conclusion: str
    cause: Cause | None
    cure: Trial | None
    findings: list[LikelyCause]
    ended: str
    trouble: str | None


@frozen
class LeftForPeople:
    """What ORAC does not do by itself.

    Attributes:
        cause: What it is good against.
        text: What to do.
        command: What to type; null when there is no one command.
    """

    cause: Cause
    text: str
    command: str | None


@frozen
class RemedyOutcome:
    """What remedies came to.

    Attributes:
        before_tokens_per_second: The rate before.
        tried: What was tried, in this order.
        kept: What was kept.
        cured: Whether the model is as fast as it was; null when that can not be told.
        advice: What is left for people.
        ended: `completed`, `deadline` or `cancelled`.
        trouble: Why the model does not stand as it was found; null when it does.
    """

    before_tokens_per_second: Speed | None
    tried: list[TriedRemedy]
    kept: list[Attempt]
    cured: bool | None
    advice: list[LeftForPeople]
    ended: str
    trouble: str | None


@frozen
class Examination:
    """Whether a model has become slow, why, and what to do.

    Attributes:
        model: Id of the model.
        instance: Cause of its backend.
        healthy: Whether it is as fast as it was; null when there is nothing to compare with.
        ratio: The present rate as a share of the usual one.
        ci95: The interval of that.
        baseline_tokens_per_second: The usual rate.
        tokens_per_second: The present rate.
        summary: All of it in one sentence.
        findings: The causes, the likeliest first.
        experiment: What the experiment came to, where one was asked for.
        remedy: What remedies came to, where they were asked for.
    """

    model: str
    instance: str
    healthy: bool | None
    ratio: float | None
    ci95: Interval | None
    baseline_tokens_per_second: float | None
    tokens_per_second: float | None
    summary: str
    findings: list[LikelyCause]
    experiment: ExperimentOutcome | None
    remedy: RemedyOutcome | None


@frozen
class ExaminationStage:
    """What begins in an examination, or in `result` what came of it.

    Attributes:
        stage: Which step.
        completed: Steps that are done.
        total: All steps; null where that is not known.
        message: In words; null of a step that is done.
        result: What came of it; null when it begins.
    """

    stage: Literal[STAGES]  # type: ignore[valid-type]
    completed: int | None
    total: int | None
    message: str | None
    result: Annotated[Plain | None, one_of("ExperimentStep", "TriedRemedy")]
