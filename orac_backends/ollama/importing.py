"""Handing a GGUF file over to Ollama: hash, upload what it lacks, create.

Ollama keeps a copy of its own: there is no way to let it read the file where it lies. What was sent
whole is known by its hash and is not sent again; what broke off leaves nothing behind.
"""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path

from attrs import define, field

from orac_core import (
    BackendError,
    BackendUnavailable,
    HashProgress,
    InvalidRequest,
    LoadProgress,
    ModelFile,
    ModelFileInvalid,
    ModelFiles,
)

from .._contents import Sending, let_go
from .._http import Upload
from .._work import followed
from .api import Json, OllamaApi
from .naming import name_of, part_name

_UPLOAD_IDLE_S = 60.0
_MARGIN = 64 << 20
_REWRITES = (0, 30)
_MIB = 1 << 20


@define(eq=False)
class Import:
    """One file on its way into Ollama.

    Attributes:
        api: The server.
        files: Tell the file's hash, and remember it.
        file: What to hand over; it was validated.
        store: Where the server keeps its models, when that is known and on this machine.
        version: The server's version.
    """

    api: OllamaApi
    files: ModelFiles
    file: ModelFile
    store: Path | None
    version: tuple[int, ...]
    _digests: dict[Path, str] = field(factory=dict, init=False)

    async def run(self) -> AsyncGenerator[LoadProgress, None]:
        """Do it all, and yield how far it is.

        Raises:
            ModelFileInvalid: when the file changes meanwhile, or Ollama refuses it.
            BackendError: when there is too little disk, or Ollama fails.
        """
        self._require_disk()
        for step in (self._hash, self._upload, self._create):
            async with aclosing(step()) as stages:
                async for progress in stages:
                    yield progress

    async def _hash(self) -> AsyncGenerator[LoadProgress, None]:
        before, total = 0, self.file.size_bytes
        for path in self.file.parts:
            if known := await self.files.remembered([path]):
                self._digests[path] = f"sha256:{known}"
                before += path.stat().st_size
                continue
            reading = HashProgress()
            stages = followed(
                self._keep(path, reading),
                lambda at=before, it=reading: LoadProgress(  # type: ignore[misc]
                    "validate", at + it.completed, total, "computing its sha256"
                ),
            )
            async with aclosing(stages):
                async for progress in stages:
                    yield progress
            before += reading.completed

    async def _keep(self, path: Path, reading: HashProgress) -> None:
        self._digests[path] = f"sha256:{await self.files.digest([path], reading)}"

    async def _upload(self) -> AsyncGenerator[LoadProgress, None]:
        before, total = 0, self.file.size_bytes
        for path, digest in self._digests.items():
            async with aclosing(uploaded(self.api, path, digest, before, total)) as stages:
                async for progress in stages:
                    yield progress
            let_go(path)
            before += path.stat().st_size

    async def _create(self) -> AsyncGenerator[LoadProgress, None]:
        count = len(self._digests)
        files = {
            part_name(number, count): digest
            for number, digest in enumerate(self._digests.values(), start=1)
        }
        try:
            async with aclosing(self.api.create(name_of(self.file), files)) as lines:
                async for line in lines:
                    yield created(line)
        except (BackendError, InvalidRequest) as error:
            if not about_the_file(error):
                raise
            raise ModelFileInvalid(
                self.file.path, f"Ollama can not use it, or is too old for it: {error}"
            ) from error

    def _require_disk(self) -> None:
        """Refuse before the work what would fail at its end."""
        if self.store is None:
            return
        copies = 2 if self.version >= _REWRITES else 1
        needed = copies * self.file.size_bytes + _MARGIN
        with suppress(OSError):  # a store that can not be looked at is Ollama's to judge
            free = shutil.disk_usage(self.store).free
            if free < needed:
                raise BackendError(
                    f"Ollama keeps its own copy of {self.file.id}, which takes "
                    f"{needed // _MIB} MiB of disk while it is made, and {free // _MIB} MiB are "
                    f"free in {self.store}; free some, or serve the file by llama.cpp, which "
                    "reads it where it lies",
                )


async def uploaded(
    api: OllamaApi, path: Path, digest: str, before: int, total: int
) -> AsyncGenerator[LoadProgress, None]:
    """Send a file unless Ollama has it; *before* it so many bytes of a *total* were done.

    Raises:
        ModelFileInvalid: when the file changes meanwhile.
        BackendUnavailable: when Ollama takes nothing of it.
    """
    if await api.has_blob(digest):
        return
    sending, size = Sending(path), size_of(path)
    stages = followed(
        _send(api, sending, digest, size),
        lambda: LoadProgress(
            "upload", before + sending.completed, total, "copying it into Ollama's store"
        ),
    )
    async with aclosing(stages):
        async for progress in stages:
            yield progress


async def _send(api: OllamaApi, sending: Sending, digest: str, size: int) -> None:
    try:
        async with asyncio.timeout(_UPLOAD_IDLE_S) as patience:
            sending.on_piece = partial(_be_patient, patience)
            await api.upload(digest, Upload(sending, size), _UPLOAD_IDLE_S)
    except TimeoutError as error:
        raise BackendUnavailable(
            f"{api.client.server} took nothing of {sending.path.name} for "
            f"{_UPLOAD_IDLE_S:g} s; it may hang",
        ) from error
    except InvalidRequest as error:
        if "digest mismatch" not in str(error):
            raise
        raise ModelFileInvalid(
            sending.path, "it changed while it was being read; load it again when it is whole"
        ) from error


def size_of(path: Path) -> int:
    """Return the size of a file.

    Raises:
        ModelFileInvalid: when it is gone.
    """
    try:
        return path.stat().st_size
    except OSError as error:
        raise ModelFileInvalid(path, f"cannot be read: {error.strerror}") from error


def about_the_file(error: BackendError | InvalidRequest) -> bool:
    """Whether a failure to create means that Ollama does not like the file."""
    if isinstance(error, InvalidRequest):
        return True
    text = str(error).lower()
    return type(error) is BackendError and ("gguf" in text or "tensor" in text)


def _be_patient(patience: asyncio.Timeout) -> None:
    """Allow the whole span again."""
    patience.reschedule(asyncio.get_running_loop().time() + _UPLOAD_IDLE_S)


def store_of(chosen: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return where an Ollama of this machine keeps its models, as far as one can tell."""
    if chosen is not None:
        return chosen.expanduser()
    named, home = environ.get("OLLAMA_MODELS"), environ.get("HOME")
    candidates = (
        Path(named) if named else None,
        Path(home) / ".ollama" / "models" if home else None,
        Path("/usr/share/ollama/.ollama/models"),
    )
    return next((each for each in candidates if each is not None and _is_store(each)), None)


def _is_store(folder: Path) -> bool:
    return (folder / "blobs").is_dir()


def created(line: Json) -> LoadProgress:
    """Return a line of the answer to an order to create."""
    total, completed = line.get("total"), line.get("completed")
    return LoadProgress(
        "upload",
        completed if isinstance(completed, int) else 0,
        total if isinstance(total, int) else None,
        f"Ollama: {line.get('status', '')}"[:200],
    )
