"""The course of a run for models that are loaded: canaries, rounds or missions, quality."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from attrs import evolve

from ..conversation import GenerateOptions, GenerateRequest, Message
from ..errors import OracError
from .canaries import canaries
from .meter import MeasuresQuality
from .progress import Progress
from .session import Bench, Session
from .soak import Mission, broken
from .warmup import warm_up


async def course(
    session: Session, benches: Sequence[Bench], quality: MeasuresQuality | None
) -> None:
    """Measure models that are in memory together."""
    if session.request.measures_speed:
        await warm_up(session, benches)
        if session.request.verify:
            await canaries(session, benches, "before")
        await session.look(benches)
        await (missions if session.request.suite == "soak" else rounds)(session, benches)
    if session.request.measures_quality:
        await _qualities(session, benches, quality)
    if session.request.measures_speed and session.request.verify:
        await canaries(session, benches, "after")


async def rounds(session: Session, benches: Sequence[Bench]) -> None:
    """Ask each model all its workloads, round after round, models taking turns within each."""
    total = session.request.rounds
    for number in range(1, total + 1):
        if not any(it.alive for it in benches):
            return
        session.tell(Progress("round", completed=number - 1, total=total))
        for bench in benches:
            await _once(session, bench, number)
        await session.look(benches)


async def missions(session: Session, benches: Sequence[Bench]) -> None:
    """Ask each model everything again and again, until a limit of the request is broken."""
    total = session.request.missions
    for number in range(1, total + 1):
        session.tell(Progress("mission", completed=number - 1, total=total))
        for bench in benches:
            if bench.alive and session.aborted is None:
                await _mission(session, bench, number)
        if session.aborted is not None or not any(it.alive for it in benches):
            return


async def _mission(session: Session, bench: Bench, number: int) -> None:
    done = len(session.samples)
    await _once(session, bench, number)
    await session.look([bench])
    loaded = await session.loaded(bench)
    mission = Mission(tuple(session.samples[done:]), loaded.memory_bytes if loaded else None)
    session.missions.setdefault(bench.name, []).append(mission)
    if why := broken(mission, session.request.limit):
        session.aborted = f"{bench.name}: {why}"


async def _once(session: Session, bench: Bench, number: int) -> None:
    for workload in bench.workloads:
        key = f"{bench.name}/{workload.name}/{number}"
        await session.ask_all(bench, workload, number, key)


async def _qualities(
    session: Session, benches: Sequence[Bench], quality: MeasuresQuality | None
) -> None:
    for bench in benches:
        if bench.alive and quality is not None:
            session.tell(Progress("quality", bench.name))
            await _quality(session, bench, quality)


async def _quality(session: Session, bench: Bench, quality: MeasuresQuality) -> None:
    async def ask(
        messages: Sequence[Message],
        wanted: Literal["json"] | Mapping[str, Any] | None,
        max_tokens: int,
    ) -> str:
        options = GenerateOptions(temperature=0.0, seed=session.seed, max_tokens=max_tokens)
        request = GenerateRequest(bench.name, tuple(messages), format=wanted, options=options)
        return (await session.manager.answer(request)).text

    def tell(progress: Progress) -> None:
        session.tell(evolve(progress, model=bench.name))

    examination = quality()
    try:
        await examination.run(ask, tell)
    except OracError as error:
        bench.error = str(error)
    finally:
        bench.quality = examination.quality
