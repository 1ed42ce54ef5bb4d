"""Fetching a model's file into a folder that is searched: all of it, and only when it is right."""

import asyncio
import hashlib
import logging
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from pathlib import Path

from attrs import define, evolve, field, frozen
from yarl import URL

from orac_core import (
    BackendError,
    BackendUnavailable,
    Host,
    ModelFileInvalid,
    PullProgress,
    PullRequest,
    expected,
)

from ._download_addresses import of_host
from ._download_file import PartFile, Taken, origin_of, recorded
from ._download_part import Version, begins, taken, wanted
from ._download_remote import Answer, asked
from ._download_source import Local, Web, shown
from ._work import followed

logger = logging.getLogger("orac.download")

_PIECE = 1 << 20
_WAIT_S = 0.5
_OK, _PARTIAL, _NOT_MODIFIED = 200, 206, 304
_NO_RIGHT = frozenset({401, 403})
_GONE = frozenset({404, 410})
_LATER = frozenset({408, 425, 429})
_FAULTY = 500


@frozen
class Patience:
    """How long a download that breaks is tried again.

    Attributes:
        attempts: How often in a row without any progress.
        first_s: Pause after the first of them; each further one is twice as long.
        longest_s: Longest pause.
        poll_s: Pause between two looks at a file that another process fills.
    """

    attempts: int = 6
    first_s: float = 0.5
    longest_s: float = 20.0
    poll_s: float = _WAIT_S


@define(eq=False)
class Download:
    """One file on its way here.

    Attributes:
        host: Knows what is a model.
        request: What is wanted.
        source: Where it comes from.
        target: Where it will be.
        patience: How long it is tried.
        fetched: Bytes that have come.
    """

    host: Host
    request: PullRequest
    source: Web | Local
    target: Path
    patience: Patience = field(factory=Patience)
    fetched: int = field(default=0, init=False)
    _part: PartFile | None = field(default=None, init=False)
    _doing: str = field(default="making ready", init=False)

    async def run(self) -> AsyncGenerator[PullProgress, None]:
        """Do it all, and yield how far it is.

        Raises:
            ModelFileInvalid: when what came is not what it should be.
            BackendError: when it can not be fetched or written.
        """
        async with aclosing(followed(self._whole(), self._told)) as stages:
            async for progress in stages:
                yield progress

    def _told(self) -> PullProgress:
        part = self._part
        if part is None:
            return PullProgress(self._doing, fetched_bytes=self.fetched)
        total = part.version.total_bytes if part.version else None
        return PullProgress(self._doing, part.size or part.read, total, self.fetched)

    async def _whole(self) -> None:
        algorithm, digits = self._checksum()
        part = self._part = await self._opened(algorithm)
        try:
            await self._resume(part)
            continued = part.size > 0
            await self._fill(part)
            if continued and digits is not None and digits != part.digest():
                # What an earlier attempt left may have suffered from a fault of the disk.
                await _to_its_end(part.restart)
                await self._fill(part)
            await self._judge(part, algorithm, digits)
            await _to_its_end(part.finish)
            await self.host.files.learn(self.target, algorithm, part.digest())
        finally:
            part.close()

    def _checksum(self) -> tuple[str, str | None]:
        checksum = self.request.checksum
        return expected(self.target, checksum) if checksum else ("sha256", None)

    async def _opened(self, algorithm: str) -> PartFile:
        """Open the file, once no other process fills it."""
        source = self.source.url if isinstance(self.source, Web) else str(self.source.path)
        name = hashlib.sha256(source.encode()).hexdigest()
        while True:
            try:
                return await _open(self.target, name, algorithm)
            except Taken:
                self._doing = "waiting for another process that fetches it"
                await asyncio.sleep(self.patience.poll_s)

    async def _resume(self, part: PartFile) -> None:
        self._doing = "checking what is there already"
        await _to_its_end(part.resume, hurry=part.stop)

    async def _fill(self, part: PartFile) -> None:
        if isinstance(self.source, Local):
            self._doing = "copying"
            await self._copy(part, self.source.path)
        else:
            self._doing = f"downloading from {shown(self.source.url).split('/')[2]}"
            await self._fetch(part, self.source)

    async def _copy(self, part: PartFile, path: Path) -> None:
        size = (await asyncio.to_thread(path.stat)).st_size
        await _to_its_end(part.restart, Version(total_bytes=size))
        await _to_its_end(part.require_room)
        with path.open("rb", buffering=0) as opened:
            while piece := await asyncio.to_thread(opened.read, _PIECE):
                await self._add(part, piece)

    async def _fetch(self, part: PartFile, source: Web) -> None:
        """Fetch what is missing; what breaks is tried again as long as it brings something."""
        import stamina  # noqa: PLC0415 - 20 ms that only a download costs

        _warn_of_plain(source, part.target.name)
        furthest = part.size
        while not _is_whole(part):
            async for attempt in stamina.retry_context(
                on=BackendUnavailable,
                attempts=self.patience.attempts,
                timeout=None,
                wait_initial=self.patience.first_s,
                wait_max=self.patience.longest_s,
            ):
                with attempt:
                    furthest = await self._some(part, source, furthest)
            if _total(part) is None:
                return  # its length was never told, and it came to its end

    async def _some(self, part: PartFile, source: Web, furthest: int) -> int:
        """Fetch until the end or until it breaks; return how far the file has ever been.

        Raises:
            BackendUnavailable: It broke, and the file is no longer than it ever was.
        """
        try:
            await self._ask(part, source)
        except BackendUnavailable:
            if part.size < furthest + _PIECE or _total(part) is None:
                raise
        return max(furthest, part.size)

    async def _ask(self, part: PartFile, source: Web) -> None:
        start = part.size
        async with asked(source, wanted(start, part.version)) as answer:
            self._require_taken(answer)
            begin = begins(start, part.version, answer.status, answer.headers)
            if begin < 0:
                await _to_its_end(part.restart)
                raise BackendUnavailable(f"{answer.server} has another version now; starting anew")
            told = Version.of(answer.status, answer.headers)
            if begin == 0:
                await _to_its_end(part.restart, told)
            elif part.version is not None and part.version.total_bytes is None:
                part.version = evolve(part.version, total_bytes=told.total_bytes)
            await _to_its_end(part.require_room)
            await self._pour(part, answer)
        if _total(part) is not None and not _is_whole(part):
            raise BackendUnavailable(f"{answer.server} broke off after {part.size} bytes")

    async def _pour(self, part: PartFile, answer: Answer) -> None:
        """Write what comes, a piece at a time, and what has come also when it breaks."""
        piece, total = bytearray(), _total(part)
        try:
            async with aclosing(answer.pieces()) as pieces:
                async for more in pieces:
                    piece += more
                    if total is not None and part.size + len(piece) > total:
                        raise BackendError(f"{answer.server} sent more than it said it would")
                    if len(piece) >= _PIECE:
                        full, piece = piece, bytearray()
                        await self._add(part, full)
        except BackendUnavailable:
            await self._add(part, piece)
            raise
        await self._add(part, piece)

    async def _add(self, part: PartFile, piece: bytes | bytearray) -> None:
        await _to_its_end(part.write, piece)
        self.fetched += len(piece)

    def _require_taken(self, answer: Answer) -> None:
        status, server = answer.status, answer.server
        if status in _GONE:
            raise BackendError(
                f"{server} has no such file ({status}); correct the `source` of "
                f"{self.request.model}"
            )
        if status in _NO_RIGHT:
            raise BackendError(
                f"{server} does not give {self.request.model} to everybody ({status}); for Hugging "
                "Face accept its terms there and put your token into HF_TOKEN"
            )
        if status >= _FAULTY or status in _LATER:
            raise BackendUnavailable(f"{server} answered {status}; try again later")
        if not taken(status) or answer.headers.get("content-encoding", "identity") != "identity":
            raise BackendError(f"{server} answered {status} and no file; is the source right?")

    async def _judge(self, part: PartFile, algorithm: str, digits: str | None) -> None:
        """Throw away what is not what it should be.

        Raises:
            ModelFileInvalid: It is not.
        """
        self._doing = "checking it"
        try:
            _require_digest(self.target, algorithm, digits, part.digest())
            await self.host.files.admit(part.path)
        except ModelFileInvalid as error:
            await asyncio.to_thread(part.discard)
            raise ModelFileInvalid(self.target, error.problem) from error


async def _open(target: Path, source: str, algorithm: str) -> PartFile:
    """Open a file that is filled; when this is cancelled nobody holds its lock afterwards."""
    opening = asyncio.ensure_future(
        asyncio.to_thread(PartFile.open, target, source, algorithm),
    )
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_let_go)
        raise


def _let_go(opening: "asyncio.Future[PartFile]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


async def _to_its_end(
    work: Callable[..., None], *arguments: object, hurry: Callable[[], None] = lambda: None
) -> None:
    """Do *work* in a thread, and wait for its end also when this is cancelled.

    The file that it works on is closed next. A number that has been given to another file since
    must not be written to.
    """
    doing = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        await asyncio.shield(doing)
    finally:
        hurry()
        while not doing.done():
            with suppress(asyncio.CancelledError):  # the first one goes on after this
                await asyncio.wait([doing])


async def unchanged(source: Web, target: Path) -> bool:
    """Return whether the server still has the file that is here, without fetching it.

    Raises:
        BackendError: when that can not be found out.
    """
    record = await asyncio.to_thread(recorded, origin_of(target))
    known = record.version if record else Version()
    size = (await asyncio.to_thread(target.stat)).st_size
    known = evolve(known, total_bytes=size)
    conditions = {"If-None-Match": known.etag} if known.etag else {}
    async with asked(source, {"Range": "bytes=0-0", **conditions}) as answer:
        if answer.status == _NOT_MODIFIED:
            return True
        if answer.status not in (_OK, _PARTIAL):
            raise BackendError(f"{answer.server} answered {answer.status}; try again later")
        return known.same(Version.of(answer.status, answer.headers))


def linked(path: Path, target: Path) -> bool:
    """Give a file of this machine a second name, where the file system can; whether it could."""
    new = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        os.link(path, new)
        new.replace(target)
    except OSError:
        new.unlink(missing_ok=True)
        return False
    return True


def _require_digest(target: Path, algorithm: str, wanted: str | None, found: str) -> None:
    if wanted is None or wanted == found:
        return
    raise ModelFileInvalid(
        target,
        f"what was fetched is not what the manifest wants: its {algorithm} is {found[:8]}… and not "
        f"{wanted[:8]}…; correct `checksum` or `source`",
    )


def _warn_of_plain(source: Web, name: str) -> None:
    url = URL(source.url, encoded=True)
    if url.scheme == "http" and of_host(url.host or "") != "loopback":
        logger.warning("%s comes over http, where anyone on the way can change it", name)


def _total(part: PartFile) -> int | None:
    return part.version.total_bytes if part.version else None


def _is_whole(part: PartFile) -> bool:
    total = _total(part)
    return part.version is not None and total is not None and part.size == total
