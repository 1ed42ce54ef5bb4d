"""Trying what may help: only what can be taken back, and what does not help is undone."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from enum import StrEnum

from attrs import define, field, frozen

from ..errors import OracError
from .causes import Cause, Finding
from .comparison import SLOWER_RATIO, Comparison, changed, compared
from .patient import ALL_LAYERS, CANARIES, Bench, Patient

DEADLINE_S = 900.0


class Attempt(StrEnum):
    """What ORAC tries by itself."""

    RELOAD = "reload"
    WHEN_BACK = "reload_when_memory_is_back"
    CACHE = "give_cache_back"
    ALL_LAYERS = "all_layers"

    @property
    def told(self) -> str:
        """What is done, in words."""
        return TOLD[self]


TOLD = {
    Attempt.RELOAD: "load it anew",
    Attempt.WHEN_BACK: "unload it, wait until its memory is back, load it",
    Attempt.CACHE: "unload it, give the page cache of its file back, load it",
    Attempt.ALL_LAYERS: "load it with all layers forced onto the GPU",
}

TRIES: dict[Cause, tuple[Attempt, ...]] = {
    Cause.PAGE_CACHE: (Attempt.CACHE, Attempt.ALL_LAYERS),
    Cause.MEMORY_LATE: (Attempt.WHEN_BACK,),
    Cause.CONTEXT: (Attempt.RELOAD,),
    Cause.UNKNOWN: (Attempt.RELOAD, Attempt.WHEN_BACK, Attempt.CACHE),
}
"""What may help against a cause. For all others there is only advice: ORAC ends no program that it
did not start, and changes neither the system's caches nor its power mode."""


@frozen
class Tried:
    """An attempt, and what came of it.

    Attributes:
        attempt: What was done.
        rates: Decode rates after it, in tokens/s; empty when there are none.
        to_former: Compared with the rates before it.
        to_baseline: Compared with the baseline.
        worked: Whether it made the model faster by more than a tenth, and not by chance.
        error: Why there are no rates; None when there are.
    """

    attempt: Attempt
    rates: tuple[float, ...] = ()
    to_former: Comparison = field(factory=Comparison)
    to_baseline: Comparison = field(factory=Comparison)
    worked: bool = False
    error: str | None = None


@frozen
class Trying:
    """An attempt that begins."""

    attempt: Attempt
    message: str


@frozen
class Advice:
    """What only people can do.

    Attributes:
        cause: Against what.
        text: In words.
        command: What to type; None when there is no one command.
    """

    cause: Cause
    text: str
    command: str | None


@frozen
class Outcome:
    """What trying came to.

    Attributes:
        before: Decode rates before, in tokens/s.
        tried: All attempts, in order.
        kept: The attempts that worked, and are left in force.
        cured: Whether the model is as fast as at the baseline; without one, whether any worked.
        advice: What is left for people to do.
        ended: ``completed``, ``deadline`` or ``cancelled``.
        trouble: Why the model does not stand as it should; None when it does.
    """

    before: tuple[float, ...]
    tried: tuple[Tried, ...]
    kept: tuple[Attempt, ...]
    cured: bool
    advice: tuple[Advice, ...]
    ended: str
    trouble: str | None = None


@define(eq=False)
class Remedies:
    """Attempts to make one model fast again; what does not help is undone.

    Attributes:
        bench: The model.
        findings: What it is thought to suffer from, the likeliest first.
        baseline: Rates that count as usual; without them the first attempt that works is the last.
        canaries: Answers that are measured after each attempt.
        deadline_s: For all attempts; undoing is beyond it.
        before: Rates before the first attempt.
        tried: Attempts until now; they stay when this is cancelled.
    """

    bench: Bench
    findings: Sequence[Finding]
    baseline: tuple[float, ...] = ()
    canaries: int = CANARIES
    deadline_s: float = DEADLINE_S
    before: tuple[float, ...] = field(default=(), init=False)
    tried: list[Tried] = field(factory=list, init=False)
    _ended: str = field(default="cancelled", init=False)
    _patient: Patient = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._patient = Patient(self.bench, self.deadline_s)

    @property
    def outcome(self) -> Outcome:
        """What it comes to until now."""
        return Outcome(
            self.before,
            tuple(self.tried),
            tuple(each.attempt for each in self.tried if each.worked),
            self._cured,
            advised(self.findings),
            self._ended,
            self._patient.trouble,
        )

    async def run(self) -> AsyncGenerator[Trying | Tried | Outcome, None]:
        """Yield each attempt when it begins and when it is done, and the outcome at the end.

        Close the generator, or cancel the task, to stop it: what has worked stays, the rest is
        undone, and ``outcome`` has what was tried.

        Raises:
            OracError: when the model can not be measured as it is.
        """
        try:
            async with self._patient.examined(), aclosing(self._attempts()) as attempts:
                async for each in attempts:
                    yield each
            self._ended = "completed"
        except TimeoutError:
            self._ended = "deadline"
        yield self.outcome

    async def _attempts(self) -> AsyncGenerator[Trying | Tried, None]:
        await self._patient.awake()
        self.before = await self._patient.measured(self.canaries)
        for attempt in attempts_for(self.findings, files=bool(self.bench.files)):
            if self._cured:
                return
            yield Trying(attempt, attempt.told)
            tried = await self._try(attempt)
            self.tried.append(tried)
            if tried.worked:
                self._patient.keep()
            yield tried

    async def _try(self, attempt: Attempt) -> Tried:
        try:
            await self._make(attempt)
            rates = await self._patient.measured(self.canaries)
        except (OracError, OSError) as error:
            if self._patient.over:
                raise TimeoutError from error
            return Tried(attempt, error=str(error))
        former = self._present
        to_former = compared(rates, former)
        worked = changed(rates, former) is True and (to_former.ratio or 0) > 1
        return Tried(attempt, rates, to_former, compared(rates, self.baseline), worked)

    async def _make(self, attempt: Attempt) -> None:
        layers = ALL_LAYERS if attempt is Attempt.ALL_LAYERS else self._patient.gpu_layers
        await self._patient.reload(
            layers, when_back=attempt is not Attempt.RELOAD, cold=attempt is Attempt.CACHE
        )

    @property
    def _present(self) -> tuple[float, ...]:
        """The rates with what is kept."""
        return next((each.rates for each in reversed(self.tried) if each.worked), self.before)

    @property
    def _cured(self) -> bool:
        if not self.baseline:
            return any(each.worked for each in self.tried)
        return (compared(self._present, self.baseline).ratio or 0.0) >= SLOWER_RATIO


def attempts_for(findings: Iterable[Finding], *, files: bool) -> tuple[Attempt, ...]:
    """Return what to try against *findings*, in their order, nothing twice.

    Args:
        findings: Causes, the likeliest first.
        files: Whether the model's files can be read here.
    """
    wanted = (attempt for each in findings for attempt in TRIES.get(each.cause, ()))
    return tuple(each for each in dict.fromkeys(wanted) if files or each is not Attempt.CACHE)


def advised(findings: Iterable[Finding]) -> tuple[Advice, ...]:
    """Return what people can do about *findings*: all of them, as what ORAC tries may not last."""
    return tuple(Advice(each.cause, each.remedy, each.command) for each in findings)
