"""The backend of kind ``transformers``: one worker process for each checkpoint that is loaded."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path

from attrs import Factory, define, field

from orac_core import (
    Chunk,
    GenerateRequest,
    InstanceHealth,
    LoadProgress,
    LoadRequest,
    ModelFileInvalid,
    ModelInfo,
    ModelNotFound,
    OracError,
    hookimpl,
)

from .._cores import free_cores
from .._folder import socket_folder
from .._workers import Workers
from .checkpoint import Checkpoint
from .engine import engine_version
from .library import Library
from .listing import listed
from .plan import plan
from .settings import DTYPES, TransformersSettings
from .worker_process import Worker


@define(eq=False)
class TransformersBackend:
    """Serves checkpoints of Hugging Face's, each by a process of its own.

    Attributes:
        settings: From the manifest.
        library: The checkpoints that there are.
        folder: For the sockets of the workers.
    """

    settings: TransformersSettings
    library: Library
    folder: Path
    _workers: Workers[Worker] = field(
        default=Factory(lambda self: Workers(self.folder), takes_self=True), init=False
    )

    @hookimpl
    async def models(self) -> list[ModelInfo]:
        """List every checkpoint found, and every worker whose checkpoint is gone."""
        found = {it.id: it for it in await self.library.all()}
        for worker in self._workers.values():
            found.setdefault(worker.checkpoint.id, worker.checkpoint)
        return [listed(it, self._workers.get(it.id), self.settings) for it in found.values()]

    @hookimpl
    async def load(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        """Start a worker for a checkpoint: look at its files, read them, start transformers.

        Raises:
            ModelNotFound: when there is no such checkpoint.
            ModelFileInvalid: when it can not be used.
            InvalidRequest: when an option is out of range.
            BackendUnavailable: when transformers is not installed.
            BackendError: when the worker can not be started.
        """
        engine_version()
        found = await self._found(request.model)
        async with self._workers.turn(found.id):
            if self._workers.is_ready(found.id):
                return
            size = found.size_bytes or 0
            yield LoadProgress("validate", size, size, found.note or "")
            async with aclosing(self._loaded(found, request)) as stages:
                async for progress in stages:
                    yield progress

    @hookimpl
    async def unload(self, model: str) -> None:
        """Kill the worker of a model, also one that is still starting; return when it is gone.

        Raises:
            BackendError: when it does not die.
        """
        await self._workers.stop(model)

    @hookimpl
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Ask the worker of a model.

        Raises:
            InvalidRequest: when the request is malformed, too long for the context, or asks for a
                format or tools.
            BackendUnavailable: when the model is not loaded, or its worker dies.
            BackendError: when transformers fails.
        """
        async with aclosing(self._workers[request.model].answer(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    @hookimpl
    async def health(self) -> InstanceHealth:
        """Say whether transformers is installed, and which folders are not there."""
        details = {"workers": len(self._workers)}
        try:
            version = engine_version()
        except OracError as error:
            return InstanceHealth(usable=False, message=str(error), details=details)
        return InstanceHealth(
            usable=True, version=version, details=details, warnings=self._warnings()
        )

    async def close(self) -> None:
        """Kill every worker."""
        await self._workers.close()

    def _warnings(self) -> tuple[str, ...]:
        if not self.settings.paths:
            return ("no folder is searched for checkpoints; set `paths` for this backend",)
        gone = [str(it) for it in self.settings.paths if not it.expanduser().is_dir()]
        return tuple(f"{it} is no folder, so no checkpoint is found in it" for it in gone)

    async def _found(self, model: str) -> Checkpoint:
        found = await self.library.find(model)
        if found is None:
            raise ModelNotFound(model)
        if found.problem is not None:
            raise ModelFileInvalid(found.path, found.problem)
        return found

    async def _loaded(
        self, found: Checkpoint, request: LoadRequest
    ) -> AsyncGenerator[LoadProgress, None]:
        wanted = plan(found, request, self.settings, free_cores())
        worker = await self._workers.new(found.id, partial(Worker, plan=wanted))
        async with aclosing(self._workers.loaded(worker, worker.start())) as stages:
            async for progress in stages:
                yield progress


@asynccontextmanager
async def open_backend(settings: TransformersSettings) -> AsyncIterator[TransformersBackend]:
    """Open a backend; leaving kills its workers and removes their sockets."""
    library = Library(settings.paths, DTYPES[settings.dtype])
    with socket_folder() as folder:
        backend = TransformersBackend(settings, library, folder)
        try:
            yield backend
        finally:
            await backend.close()
