"""Bringing the models under test into memory, and how long that takes."""

import asyncio
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Literal

from attrs import evolve

from ..errors import ModelFileInvalid, OracError
from ..files.parts import PartName
from ..files.residency import give_back, resident_ratio
from ..types import Loaded, LoadedInfo, LoadRequest
from .progress import Progress
from .results import LoadTime
from .session import Bench, Session

COLD_RATIO = 0.05
WARM_RATIO = 0.95
"""A cache is cold with less of the file than the one in it, and warm with more than the other."""


def cache(ratio: float | None) -> Literal["cold", "warm", "unknown"]:
    """Return what a page cache with that share of the file is called (pure)."""
    if ratio is None or COLD_RATIO < ratio < WARM_RATIO:
        return "unknown"
    return "cold" if ratio <= COLD_RATIO else "warm"


async def all_at_once(session: Session) -> bool:
    """Load all models; return whether they are in memory together.

    It stops at the first that pushes another one out.
    """
    done: list[Bench] = []
    for bench in session.benches:
        await ready(session, bench, timed=session.request.measures_loads)
        done += [bench] if bench.alive else []
        if not all([await session.loaded(it) for it in done]):
            return False
    return True


async def ready(session: Session, bench: Bench, *, timed: bool = False) -> None:
    """Load a model if need be; measure cold and warm loads when *timed* and nobody uses it."""
    if not bench.alive:
        return
    try:
        if timed and session.manager.watch.traffic.running == 0:
            await _cold_and_warm(session, bench)
        await _load(session, bench, LoadRequest(bench.name))
    except OracError as error:
        bench.error = str(error)


async def _cold_and_warm(session: Session, bench: Bench) -> None:
    """Load it twice, the first time from the disk; it is then loaded as it was found."""
    found = await session.loaded(bench)
    info = (await session.manager.find(bench.name)).info
    request = _same(bench.name, found, remote=info.remote)
    try:
        for cold in (True, False):
            await session.manager.unload(bench.name)
            if cold:
                await asyncio.to_thread(give_back, await _files(session, bench))
            await _load(session, bench, request)
    except BaseException:
        if found is not None and await session.loaded(bench) is None:
            await session.manager.load(request)
        raise


async def _load(session: Session, bench: Bench, request: LoadRequest) -> None:
    """Load a model and keep how long that took; nothing is kept when it was loaded already."""
    files, watch = await _files(session, bench), session.client.watch
    ratio = await asyncio.to_thread(resident_ratio, files) if files else None
    before = (await session.manager.machine()).memory.available_bytes
    session.tell(Progress("load", bench.name))
    start, verify = watch.now(), None
    async with aclosing(session.manager.load_progress(request)) as stages:
        async for stage in stages:
            if isinstance(stage, Loaded):
                end, loaded = watch.now(), stage
            elif stage.stage == "verify" and verify is None:
                verify = watch.now()
    bench.seen(loaded.applied)
    bench.cut(session.request.workloads())
    if loaded.already_loaded:
        return
    proof_s = None if verify is None else end - verify
    bench.loads.append(LoadTime(end - start, proof_s, cache(ratio), ratio))
    after = (await session.manager.machine()).memory.available_bytes
    if before is not None and after is not None:
        bench.memory = evolve(bench.memory, available_fell_bytes=before - after)


async def identified(session: Session) -> None:
    """Read the files of models whose checksum nobody knows: results are kept by it."""
    for bench in session.benches:
        if bench.alive and bench.subject.sha256 is None and (files := await _files(session, bench)):
            session.tell(Progress("hash", bench.name))
            with suppress(ModelFileInvalid):
                digest = await session.manager.files.digest(files)
                bench.subject = evolve(bench.subject, sha256=digest)


async def _files(session: Session, bench: Bench) -> list[Path]:
    """Return the files of a model, all parts of a split one; none where they are not known."""
    info = (await session.manager.find(bench.name)).info
    if info.file is None:
        return []
    path = Path(info.file.path)
    name = PartName.of(path)
    if name is None:
        return [path]
    return [path.with_name(str(evolve(name, number=n))) for n in range(1, name.count + 1)]


def _same(name: str, found: LoadedInfo | None, *, remote: bool) -> LoadRequest:
    """Return the request that loads a model as it was *found*, so far as a load can say that.

    What a *remote* one does at once is told of all its replicas together, and asked of each.
    """
    if found is None:
        return LoadRequest(name)
    parallel = None if remote else found.parallel
    return LoadRequest(name, found.context_length, found.gpu_layers, parallel)
