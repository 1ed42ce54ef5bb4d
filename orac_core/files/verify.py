"""Reading a model's files to the last byte, whatever is remembered of them."""

import asyncio
from typing import Literal

from attrs import frozen

from ..errors import ModelFileInvalid
from . import integrity
from .catalog import ModelFiles
from .hashing import Hashing, HashProgress
from .ledger import key_of
from .model_file import ModelFile

Outcome = Literal["ok", "failed", "unreadable"]


@frozen
class Verified:
    """What came of reading a model's files.

    Attributes:
        model: The model.
        outcome: ``ok``; ``failed`` when they are not what they should be; ``unreadable``.
        problem: Why not, in one sentence; None for ``ok``.
        checksum: What they have to hash to, as the manifest says it; None when it does not.
        found: What they hash to, written like a checksum; None when they could not be read.
    """

    model: ModelFile
    outcome: Outcome
    problem: str | None = None
    checksum: str | None = None
    found: str | None = None


async def verify(files: ModelFiles, model: ModelFile, progress: HashProgress) -> Verified:
    """Read all files of a model and compare them with what is known; never raises.

    That is their header, the manifest's checksum, and what the same files hashed to before. What
    they hash to now is remembered.

    Args:
        files: Where the model was found.
        model: The model.
        progress: Follows the reading.
    """
    checksum = files.checksum(model)
    try:
        algorithm, wanted = _expected(model, checksum)
        key = await asyncio.to_thread(key_of, model.parts, algorithm)
        digest = await _read(model, algorithm, progress)
    except ModelFileInvalid as error:
        outcome: Outcome = "unreadable" if isinstance(error.__cause__, OSError) else "failed"
        return Verified(model, outcome, error.problem, checksum)
    await asyncio.to_thread(files.digests.ledger.verified, key, digest, wanted)
    found = f"{algorithm}:{digest}"
    try:
        await files.validate(model)
    except ModelFileInvalid as error:
        return Verified(model, "failed", error.problem, checksum, found)
    return Verified(model, "ok", None, checksum, found)


def _expected(model: ModelFile, checksum: str | None) -> tuple[str, str | None]:
    return integrity.expected(model.path, checksum) if checksum else ("sha256", None)


async def _read(model: ModelFile, algorithm: str, progress: HashProgress) -> str:
    hashing = Hashing(model.parts, algorithm)
    progress.follow(hashing)
    try:
        found = await asyncio.to_thread(hashing.run)
    finally:
        hashing.stop()
    if found is None:
        raise AssertionError("unreachable: only the end of this stops it")
    return found
