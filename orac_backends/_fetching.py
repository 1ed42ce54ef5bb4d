"""Bringing a model's file here, for backends that serve files: is it there, is it right, get it."""

import asyncio
import os
import stat
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

from attrs import define, field

from orac_core import (
    BackendError,
    HashProgress,
    Host,
    InvalidRequest,
    ModelFile,
    ModelFileInvalid,
    PullAction,
    PullProgress,
    PullRequest,
    Verified,
    expected,
    verify,
)

from ._download import Download, Patience, linked, unchanged
from ._download_file import unwritable
from ._download_source import Local, Source, Web, file_name, understood
from ._work import followed

T = TypeVar("T")


@define(eq=False)
class Fetching:
    """Fetches the files that models are made of.

    Attributes:
        host: Lends the folders.
        patience: How long a download that breaks is tried again.
    """

    host: Host
    patience: Patience = field(factory=Patience)

    async def pull(self, request: PullRequest) -> AsyncGenerator[PullProgress, None]:
        """Bring the file of a model here, unless it is here; see ``hookspecs.pull``.

        Raises:
            InvalidRequest: when the manifest names no source, or one that makes no sense.
            ModelFileInvalid: when the file is not what it should be.
            BackendError: when it can not be fetched.
        """
        source = understood(request.source, self.host.environ) if request.source else None
        file = await self.host.files.find(request.model)
        if file is not None and (source is None or file.problem is None):
            async with aclosing(self._kept(file, source, request)) as stages:
                async for progress in stages:
                    yield progress
                    if progress.action is not None:
                        return
        if source is None:
            raise _no_source(request.model)
        name = file_name(request.model, source)
        target = _place_of(file) or await asyncio.to_thread(self._folder) / name
        async with aclosing(self._brought(request, source, target)) as stages:
            async for progress in stages:
                yield progress

    async def _kept(
        self, file: ModelFile, source: Source | None, request: PullRequest
    ) -> AsyncGenerator[PullProgress, None]:
        """Look at a file that is here; the last progress has an action when it may stay."""
        if request.force or file.problem is not None:
            reading = HashProgress()
            verifying = asyncio.ensure_future(verify(self.host.files, file, reading))
            stages = followed(
                _ended(verifying),
                lambda: PullProgress("checking the file", reading.completed, file.size_bytes, 0),
            )
            async with aclosing(stages):
                async for progress in stages:
                    yield progress
            if not await _holds(verifying.result(), source, request):
                return
        yield _here(file.path, 0, "present")

    async def _brought(
        self, request: PullRequest, source: Source, target: Path
    ) -> AsyncGenerator[PullProgress, None]:
        if isinstance(source, Local):
            async with aclosing(self._judged(request, source.path)) as stages:
                async for progress in stages:
                    yield progress
            if await asyncio.to_thread(linked, source.path, target):
                yield _here(target, 0, "imported")
                return
        download = Download(self.host, request, source, target, self.patience)
        async with aclosing(download.run()) as stages:
            async for progress in stages:
                yield progress
        how: PullAction = "imported" if isinstance(source, Local) else "downloaded"
        yield _here(target, download.fetched, how)

    async def _judged(self, request: PullRequest, path: Path) -> AsyncGenerator[PullProgress, None]:
        """Look at a file of this machine before it gets its second name.

        Raises:
            ModelFileInvalid: It is not what it should be.
        """
        await self.host.files.admit(path)
        if request.checksum is None:
            return
        algorithm, digits = expected(path, request.checksum)
        reading, size = HashProgress(), (await asyncio.to_thread(path.stat)).st_size
        hashing = asyncio.ensure_future(self.host.files.digests.of([path], algorithm, reading))
        stages = followed(
            _ended(hashing), lambda: PullProgress("checking it", reading.completed, size, 0)
        )
        async with aclosing(stages):
            async for progress in stages:
                yield progress
        if hashing.result() != digits:
            problem = "it does not have the checksum that the manifest wants; correct one of them"
            raise ModelFileInvalid(path, problem)

    def _folder(self) -> Path:
        """Return the folder for what is fetched; one that the manifest names is made.

        Raises:
            BackendError: There is none that can be written to.
        """
        if (named := self.host.downloads) is not None:
            try:
                named.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise unwritable(named, error) from error
            return named
        places = [place.path for place in self.host.files.places]
        for folder in places:
            if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
                return folder
        raise BackendError(
            "none of the folders that are searched for models can be written to; name one for what "
            "is fetched in models.downloads of the manifest"
        )


async def _ended(work: "asyncio.Future[T]") -> None:
    """Wait for *work*, which ends with whoever waits."""
    try:
        await work
    finally:
        work.cancel()


async def _holds(found: Verified, source: Source | None, request: PullRequest) -> bool:
    """Return whether a file that was read whole may stay; a checksum is worth more than a server.

    Raises:
        ModelFileInvalid: It may not, and there is nowhere to get another.
    """
    if found.outcome != "ok":
        if source is None:
            raise ModelFileInvalid(found.model.path, found.problem or "it can not be used")
        return False
    if request.checksum or found.checksum or not isinstance(source, Web):
        return True
    return await unchanged(source, found.model.path)


def _place_of(file: ModelFile | None) -> Path | None:
    """Return where a file is that has to be replaced; None where that can not be."""
    if file is None or len(file.parts) > 1 or not stat.S_ISREG(_mode(file.path)):
        return None
    return file.path if os.access(file.path.parent, os.W_OK | os.X_OK) else None


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except OSError:
        return 0


def _here(path: Path, fetched_bytes: int, action: PullAction) -> PullProgress:
    size = path.stat().st_size
    return PullProgress("it is here", size, size, fetched_bytes, action)


def _no_source(model: str) -> InvalidRequest:
    return InvalidRequest(
        f"{model} is not here, and the manifest does not say where it is; give it a `source`, or "
        "put its file into a folder that is searched"
    )
