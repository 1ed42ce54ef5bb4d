"""The series of trials a person would make with a slow model, each measured alike."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing

from attrs import define, field, frozen

from ..errors import OracError
from ..statistics import summary
from .comparison import Comparison, changed, compared, usable
from .conclusion import Conclusion, conclude
from .evidence import Snapshot
from .patient import ALL_LAYERS, CANARIES, Bench, Patient
from .step import Step, Trial

CYCLES = 3
"""How often the model is unloaded and loaded at once: slowness was reported after a few loads."""

DEADLINE_S = 1800.0


@frozen
class Doing:
    """A step that begins.

    Attributes:
        trial: What is tried.
        completed: Steps that are done.
        total: All steps.
        message: In words.
    """

    trial: Trial
    completed: int
    total: int
    message: str


@frozen
class Report:
    """What an experiment came to.

    Attributes:
        steps: What was measured, in order.
        conclusion: What follows from it.
        ended: ``completed``, ``deadline``, or ``cancelled``.
        trouble: Why the model does not stand as it was found; None when it does.
    """

    steps: tuple[Step, ...]
    conclusion: Conclusion
    ended: str
    trouble: str | None = None


@define(eq=False)
class Experiment:
    """A series of trials with one model, which is left as it was found.

    Attributes:
        bench: The model.
        baseline: Rates that count as usual; without them the first step is the measure.
        then: What was known around those.
        cycles: How often it is unloaded and loaded at once.
        canaries: Answers that are measured in each step.
        deadline_s: For all steps; putting the model back is beyond it.
        steps: What has been measured until now; it stays when the experiment is cancelled.
    """

    bench: Bench
    baseline: tuple[float, ...] = ()
    then: Snapshot | None = None
    cycles: int = CYCLES
    canaries: int = CANARIES
    deadline_s: float = DEADLINE_S
    steps: list[Step] = field(factory=list, init=False)
    _ended: str = field(default="cancelled", init=False)
    _patient: Patient = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._patient = Patient(self.bench, self.deadline_s)

    @property
    def report(self) -> Report:
        """What it comes to until now."""
        steps = tuple(self.steps)
        conclusion = conclude(steps, self.baseline, self.then)
        return Report(steps, conclusion, self._ended, self._patient.trouble)

    async def run(self) -> AsyncGenerator[Doing | Step | Report, None]:
        """Yield each step when it begins and when it is done, and the report at the end.

        Close the generator, or cancel the task, to stop it: the model is put back, and ``report``
        has what was measured.
        """
        try:
            async with self._patient.examined(), aclosing(self._series()) as series:
                async for each in series:
                    yield each
            self._ended = "completed"
        except TimeoutError:
            self._ended = "deadline"
        yield self.report

    async def _series(self) -> AsyncGenerator[Doing | Step, None]:
        trials = list(self._trials())
        for number, (trial, begin) in enumerate(trials):
            yield Doing(trial, number, len(trials), trial.told)
            step = await self._tried(trial, begin)
            self.steps.append(step)
            yield step

    def _trials(self) -> Iterator[tuple[Trial, Callable[[], Awaitable[None]]]]:
        patient, layers = self._patient, self._patient.gpu_layers
        yield Trial.AS_FOUND, patient.awake
        yield Trial.REPEAT, patient.awake
        for _ in range(self.cycles):
            yield Trial.CYCLE, lambda: patient.reload(layers)
        yield Trial.FRESH, lambda: patient.reload(layers, when_back=True)
        yield Trial.CACHE, lambda: patient.reload(layers, cold=True)
        yield Trial.ALL_LAYERS, lambda: patient.reload(ALL_LAYERS, when_back=True)

    async def _tried(self, trial: Trial, begin: Callable[[], Awaitable[None]]) -> Step:
        skipped = self._skipped(trial)
        if skipped is not None:
            return Step(trial, error=skipped)
        try:
            await begin()
            rates = await self._patient.measured(self.canaries)
            return self._step(trial, rates, await self._patient.snapshot())
        except (OracError, OSError) as error:
            if self._patient.over:
                raise TimeoutError from error
            return Step(trial, error=str(error))

    def _skipped(self, trial: Trial) -> str | None:
        """Return why *trial* is left out; None when it is made."""
        if trial is Trial.CACHE and not self.bench.files:
            return "the model's files can not be read here"
        shares = [each.snapshot.on_gpu_ratio for each in self.steps]
        share = next((each for each in reversed(shares) if each is not None), 0.0)
        if trial is Trial.ALL_LAYERS and share >= 1:
            return "all of it is on the GPU already"
        return None

    def _step(self, trial: Trial, rates: tuple[float, ...], snapshot: Snapshot) -> Step:
        former = next((each.rates for each in reversed(self.steps) if each.rates), ())
        first = next((each.rates for each in self.steps if each.rates), ())
        return Step(
            trial,
            rates,
            summary(usable(rates)),
            compared(rates, former) if former else Comparison(),
            compared(rates, self.baseline or first or rates),
            changed(rates, former) if former else None,
            snapshot,
        )
