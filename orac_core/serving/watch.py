"""Watching how fast each model answers: baselines, slowdowns, and why they came."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any

from attrs import define, evolve, field, frozen

from ..conversation import Answer
from ..devices import Sampler, Sensors
from ..doctor import Diagnosis, Evidence, Snapshot, diagnose, over
from ..events import Events
from ..pace import SLOWER_RATIO, Baseline, Pace, Slowdown
from ..state_directory import StateDirectory
from ..types import InstanceHealth, LoadRequest, ModelInfo, ModelState, Speed
from .canaries import Canaries, Singer
from .flight import forget_error
from .kept import Kept
from .pool import Key
from .remembered import DOCUMENT, Remembered, pack, unpack
from .witness import Rate, Witness, moments, spread

logger = logging.getLogger("orac.serving")

SERIES_S = 60.0
"""So far back the machine's samples tell about the present answers."""

LATE_S = 60.0
"""Memory of a model that was unloaded longer ago is no longer on its way back."""

AskHealth = Callable[[str], Awaitable[InstanceHealth]]


@define(eq=False)
class Company:
    """Whether an answer is made alone; answers at the same time slow each other down."""

    alone: bool = True


@frozen
class Traffic:
    """How much is going on, so that who measures sees whether it was alone.

    Attributes:
        begun: Answers and loads begun so far.
        running: Answers that are being written.
    """

    begun: int
    running: int


@frozen
class _Left:
    """The last model that was unloaded: when, what it held, and what was available before."""

    at: float
    bytes: int
    available_bytes: int | None


@define(eq=False)
class Watch:
    """The speed of every model, compared with what it was.

    Attributes:
        sensors: Tell what the machine does.
        sampler: Has told it once a second, where it runs.
        events: Where a model that became slow is told.
        state: Keeps baselines over a restart.
        canaries: Measure what is usual.
        kinds: Kind of each instance.
        ask: Asks an instance how it is.
        wall: Tells the time of day, in seconds since 1970.
    """

    sensors: Sensors
    sampler: Sampler
    events: Events
    state: StateDirectory
    canaries: Canaries
    kinds: Mapping[str, str]
    ask: AskHealth
    wall: Callable[[], float] = time.time
    _kept: Kept[Remembered] = field(init=False)
    _witnesses: dict[Key, Witness] = field(factory=dict, init=False)
    _health: dict[str, InstanceHealth] = field(factory=dict, init=False)
    _running: set[Company] = field(factory=set, init=False)
    _begun: int = field(default=0, init=False)
    _left: _Left | None = field(default=None, init=False)
    _works: set[asyncio.Task[None]] = field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self._kept = Kept(self.state, DOCUMENT, pack, unpack)

    @property
    def traffic(self) -> Traffic:
        """How much is going on."""
        return Traffic(self._begun, len(self._running))

    @property
    def diagnoses(self) -> Mapping[Key, Diagnosis]:
        """Why models are slow that are."""
        found = {key: witness.diagnosis for key, witness in self._witnesses.items()}
        return {key: diagnosis for key, diagnosis in found.items() if diagnosis is not None}

    def pace(self, key: Key) -> Pace | None:
        """Return how fast a model answers; None where nothing of that is known yet."""
        witness = self._witnesses.get(key)
        return witness.pace if witness else None

    async def open(self) -> None:
        """Read what was kept."""
        await self._kept.open()

    async def close(self) -> None:
        """Ask for no more canaries, and return when everything is kept."""
        await self.canaries.close()
        for work in self._works:
            work.cancel()
        if self._works:
            await asyncio.wait(set(self._works))
        await self._kept.close()

    def told(self, healths: Mapping[str, InstanceHealth]) -> None:
        """Learn what instances said of themselves."""
        self._health.update(healths)

    async def loading(self, key: Key, request: LoadRequest) -> None:
        """Take note that a model is about to be loaded so."""
        self._begun += 1
        witness = self.witness(key)
        machine = await self.sensors.look()
        now = asyncio.get_running_loop().time()
        witness.loading(machine, now)
        left = self._left
        witness.unload_to_load_s = None if left is None else now - left.at
        witness.unreturned_bytes = _unreturned(left, now, machine.memory.available_bytes)
        witness.conditions = evolve(
            witness.conditions,
            engine=self.kinds.get(key[0]),
            engine_version=self._version(key[0]),
            context_length=request.context_length,
            gpu_layers=request.gpu_layers,
            power_mode=machine.device.power_mode if machine.device else None,
        )

    def turned(self, singer: Singer, state: ModelState) -> None:
        """Take note that a model has gone over to another state."""
        self.canaries.make_way()
        if state is ModelState.READY:
            self.witness(singer.key).ready_at = self.sampler.clock()
            wanted, heard = partial(self._wanted, singer.key), partial(self._heard, singer.key)
            self.canaries.begin(singer, wanted, heard)
            return
        self.canaries.leave(singer.key)
        if state is ModelState.STOPPING:
            self._left = self._leaving(self.witness(singer.key))

    @contextmanager
    def answering(self) -> Iterator[Company]:
        """Keep an eye on who answers at the same time."""
        self._begun += 1
        self.canaries.make_way()
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
        tokens = answer.usage.completion_tokens or 0
        rate = answer.rates.decode_tokens_per_second
        if not company.alone or rate is None:
            return
        witness, prompt = self.witness(key), answer.usage.prompt_tokens or 0
        depth = prompt + tokens / 2
        witness.answered(Rate(rate, depth, prompt + tokens))
        slow = witness.pace.add(rate, tokens, depth, witness.conditions, self.wall())
        self._judged(key, witness, slow)

    def seen(self, key: Key, info: ModelInfo) -> str | None:
        """Learn from a report of the engine; return the warning about the model, if there is one.

        A slow model is worth one only while it is loaded.
        """
        if info.state is not ModelState.READY:
            return info.warning
        witness = self.witness(key)
        witness.learn(info)
        slow = witness.pace.slowdown
        told = slow is not None and slow.verdict == "degraded"
        why = explained(slow, witness.diagnosis) if slow is not None and told else None
        return "; ".join(filter(None, (info.warning, why))) or None

    def speed(self, key: Key, info: ModelInfo) -> Speed:
        """Return how fast a model is; nothing is known of one that is not loaded."""
        if info.state is not ModelState.READY:
            return Speed()
        witness = self.witness(key)
        baseline = witness.pace.baseline(witness.conditions)
        known = None if baseline is None or baseline.provisional else baseline.tokens_per_second
        return Speed(known, tuple(each.tokens_per_second for each in witness.recent))

    def against(self, key: Key, rate: float, depth: float) -> tuple[float, Baseline] | None:
        """Return a decode rate as a share of the model's baseline, and that; None without one.

        A provisional baseline is none: it may be of the very answers that are measured.

        Args:
            key: The model.
            rate: Tokens a second.
            depth: Tokens before the middle of the answers.
        """
        witness = self.witness(key)
        baseline = witness.pace.baseline(witness.conditions)
        share = witness.pace.share(rate, depth, witness.conditions)
        if baseline is None or baseline.provisional or share is None:
            return None
        return share, baseline

    def witness(self, key: Key) -> Witness:
        """Return what is known of a model, with what was kept of it."""
        witness = self._witnesses.get(key)
        if witness is None:
            kept = self._kept.get(key) or Remembered([])
            pace = Pace.from_data(kept.pace)
            witness = Witness(pace, baseline=kept.rates, then=kept.then)
            self._witnesses[key] = witness
        return witness

    async def diagnosed(self, key: Key, canaries: tuple[float, ...] = ()) -> Diagnosis:
        """Return why a model is as fast as it is, by what is known now.

        Args:
            key: The model.
            canaries: Rates of short answers that it has just given.
        """
        now, witness = await self.snapshot(key), self.witness(key)
        series = moments(self.sampler.samples, self.sampler.clock() - SERIES_S)
        return await asyncio.to_thread(diagnose, witness.evidence(now, canaries, series))

    async def snapshot(self, key: Key, since: float | None = None) -> Snapshot:
        """Return what is known of a model and its machine now.

        Args:
            key: The model.
            since: Since when, by the sampler's clock, it has answered: clocks and loads are those
                of that time. None where it has not.
        """
        machine, health = await self.sensors.look(), await self._asked(key[0])
        series = () if since is None else moments(self.sampler.samples, since)
        return over(self.witness(key).snapshot(machine, health), series)

    def _leaving(self, witness: Witness) -> _Left:
        """Return what a model leaves that goes; a sample from before it had come tells nothing."""
        loaded = None if witness.info.remote else witness.info.loaded
        known = [it for it in self.sampler.samples[-1:] if it.at > witness.ready_at]
        available = known[0].memory_available_bytes if known else None
        now = asyncio.get_running_loop().time()
        return _Left(now, (loaded and loaded.memory_bytes) or 0, available)

    def forget(self, singer: Singer, *, loaded: bool) -> None:
        """Forget how fast a model was; one that is *loaded* is asked for canaries anew."""
        witness = self.witness(singer.key)
        witness.forget()
        self._kept.put(singer.key, Remembered.of(witness.pace, (), None))
        if loaded:
            self.turned(singer, ModelState.READY)

    async def _wanted(self, key: Key) -> bool:
        """Return whether one more canary is of use; with the last one, keep the baseline."""
        witness = self.witness(key)
        if witness.conditions.engine_version is None:
            await self._asked(key[0])
            version = self._version(key[0])
            witness.conditions = evolve(witness.conditions, engine_version=version)
        if (digest := witness.info.digest) is not None:
            witness.conditions = evolve(witness.conditions, model_sha256=digest)
        baseline = witness.pace.baseline(witness.conditions)
        if baseline is None or baseline.provisional:
            return True
        if witness.then is None:
            await self._note(key)
        return False

    def _heard(self, key: Key, rate: float) -> None:
        """Learn from a canary; the last of them makes the baseline."""
        witness = self.witness(key)
        before = witness.pace.baseline(witness.conditions)
        if before is None or before.provisional:
            witness.canaries.append(rate)
        slow = witness.pace.canary(rate, witness.conditions, self.wall())
        after = witness.pace.baseline(witness.conditions)
        if after is not None and after is not before and not after.provisional:
            self._settled(key, witness, after)
        self._judged(key, witness, slow)

    def _settled(self, key: Key, witness: Witness, baseline: Baseline) -> None:
        """Take a baseline that canaries have made; one under other conditions was faster?"""
        rates, then = tuple(witness.canaries), witness.then
        former = witness.pace.former(witness.conditions, "engine_version")
        former = former or witness.pace.former(witness.conditions, "power_mode")
        witness.baseline, witness.then = rates, None
        witness.canaries.clear()
        rate = baseline.tokens_per_second
        self.events.publish("baseline", instance=key[0], model=key[1], tokens_per_second=rate)
        if former is not None and rate < SLOWER_RATIO * former.tokens_per_second:
            self._spawn(self._compare(key, former, rates, then), f"compare {key[1]}")

    async def _compare(
        self, key: Key, former: Baseline, rates: tuple[float, ...], then: Snapshot | None
    ) -> None:
        """Tell that a model is slower than under former conditions: an update has cost that."""
        now = await self.snapshot(key)
        found = await asyncio.to_thread(diagnose, Evidence(spread(former), rates, now, then))
        logger.warning("%s/%s: %s", *key, found.summary)
        factor = rates and median(rates) / former.tokens_per_second
        self._publish(key, "slower", factor or None, found)

    def _judged(self, key: Key, witness: Witness, slow: Slowdown | None) -> None:
        """Do what follows from an answer: tell a slowdown that is new, or that one is over."""
        if slow is not None:
            self._spawn(self._explain(key, slow), f"why is {key[1]} slow")
        elif witness.diagnosis is not None and witness.pace.slowdown is None:
            witness.diagnosis = None
            logger.info("%s/%s is as fast as it was", *key)
            self._publish(key, "recovered", None, None)
        elif witness.then is None and not self._works and witness.pace.ratio is not None:
            self._spawn(self._note(key), f"note how {key[1]} stands")

    async def _explain(self, key: Key, slow: Slowdown) -> None:
        witness = self.witness(key)
        witness.diagnosis = found = await self.diagnosed(key)
        logger.warning("%s/%s is %s", *key, explained(slow, found))
        self._publish(key, slow.verdict, slow.factor, found)

    def _publish(
        self, key: Key, verdict: str, factor: float | None, found: Diagnosis | None
    ) -> None:
        if not self.events.heard:
            return
        causes = found.findings if found else ()
        self.events.publish(
            "finding",
            instance=key[0],
            model=key[1],
            verdict=verdict,
            factor=factor,
            message=found.summary if found else "it is as fast as it was",
            causes=[{"cause": it.cause, "likelihood": it.likelihood} for it in causes],
        )

    async def _note(self, key: Key) -> None:
        """Note what is known while the model is as fast as it should be, and keep it."""
        witness = self.witness(key)
        witness.then = await self.snapshot(key)
        self._kept.put(key, Remembered.of(witness.pace, witness.baseline, witness.then))

    async def _asked(self, instance: str) -> InstanceHealth | None:
        self._health[instance] = found = await self.ask(instance)
        return found

    def _version(self, instance: str) -> str | None:
        health = self._health.get(instance)
        return health.version if health else None

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._works.add(task)
        task.add_done_callback(self._works.discard)
        task.add_done_callback(forget_error)


def explained(slow: Slowdown, found: Diagnosis | None) -> str:
    """Return a slowdown in words, with its likeliest cause and what to do, once that is known."""
    likeliest = found.likeliest if found else None
    if likeliest is None:
        return str(slow)
    return "; ".join((str(slow), *likeliest.evidence, likeliest.remedy))


def _unreturned(left: _Left | None, now: float, available: int | None) -> int | None:
    """Return what of a model that was unloaded just before is not back; None where unknown."""
    if left is None or left.available_bytes is None or available is None:
        return None
    if now - left.at > LATE_S:
        return None
    return max(0, left.available_bytes + left.bytes - available)
