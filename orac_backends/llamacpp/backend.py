"""The backend of kind ``llamacpp``: one worker process for each model that is loaded."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

from attrs import define, evolve, field

from orac_core import (
    BackendError,
    BackendUnavailable,
    Chunk,
    Embeddings,
    EmbedRequest,
    GenerateRequest,
    Host,
    InstanceHealth,
    InvalidRequest,
    LoadProgress,
    LoadRequest,
    ModelFile,
    ModelInfo,
    ModelNotFound,
    ModelState,
    OracError,
    hookimpl,
)

from .._contents import validated
from .cores import free_cores
from .embedding import embeddings
from .folder import socket_folder
from .launch import EmbeddedEngine, Engine, ServerBinary
from .listing import listed
from .plan import Plan, plan, usual
from .settings import LlamaCppSettings
from .vectors import pooling_of
from .worker_process import Worker


@define(eq=False)
class LlamaCppBackend:
    """Serves the GGUF files that ORAC finds, each by a process of its own.

    Attributes:
        settings: From the manifest.
        host: Lends the model files.
        engine: What serves a model.
        folder: For the sockets of the workers.
    """

    settings: LlamaCppSettings
    host: Host
    engine: Engine
    folder: Path
    _workers: dict[str, Worker] = field(factory=dict, init=False)
    _turns: defaultdict[str, asyncio.Lock] = field(
        factory=lambda: defaultdict(asyncio.Lock), init=False
    )
    _started: int = field(default=0, init=False)

    @hookimpl
    async def models(self) -> list[ModelInfo]:
        """List every file found, and every worker whose file is gone."""
        files = {file.id: file for file in await self.host.files.all()}
        for worker in self._workers.values():
            files.setdefault(worker.file.id, worker.file)
        return [self._listed(file) for file in files.values()]

    @hookimpl
    async def load(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        """Start a worker for a model: validate its file, read it, start the engine.

        Raises:
            ModelNotFound: when there is no such file.
            ModelFileInvalid: when it can not be used.
            InvalidRequest: when an option is out of range.
            BackendError: when the engine can not be started.
        """
        file = await self._found(request.model)
        wanted = plan(file, request, self.settings, free_cores())
        async with self._turns[file.id]:
            if self._is_ready(file.id):
                return
            async with aclosing(self._loaded(file, wanted)) as stages:
                async for progress in stages:
                    yield progress

    @hookimpl
    async def unload(self, model: str) -> None:
        """Kill the worker of a model, also one that is still starting; return when it is gone.

        Raises:
            BackendError: when it does not die.
        """
        worker = self._workers.get(model)
        if worker is None:
            return
        await worker.stop()
        self._forget(worker)

    @hookimpl
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Ask the worker of a model.

        Raises:
            InvalidRequest: when the request is malformed, or too long for the context.
            BackendUnavailable: when the model is not loaded, or its worker dies.
            BackendError: when the engine fails.
        """
        worker = self._worker(request.model)
        if worker.only_embeds:
            raise _only_embeds(request.model)
        async with aclosing(worker.answer(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    @hookimpl
    async def embed(self, request: EmbedRequest) -> Embeddings:
        """Ask the worker of a model for vectors.

        Raises:
            InvalidRequest: when a text is empty or too long, or the model makes no vectors.
            BackendUnavailable: when the model is not loaded, or its worker dies.
            BackendError: when the engine fails.
        """
        return await embeddings(self._worker(request.model), request)

    @hookimpl
    async def health(self) -> InstanceHealth:
        """Say whether the engine could be started."""
        details = self._details()
        try:
            version = await self.engine.version()
        except OracError as error:
            return InstanceHealth(usable=False, message=str(error), details=details)
        return InstanceHealth(usable=True, version=version, details=details)

    async def close(self) -> None:
        """Kill every worker."""
        for worker in tuple(self._workers.values()):
            with suppress(BackendError):
                await worker.stop()
        self._workers.clear()

    def _worker(self, model: str) -> Worker:
        worker = self._workers.get(model)
        if worker is None:
            raise BackendUnavailable(f"{model} is not loaded; load it first")
        return worker

    def _details(self) -> dict[str, object]:
        """Return what only this backend knows; of a GPU the worker that was started last tells."""
        told = [it.sees_gpu for it in self._workers.values() if it.sees_gpu is not None]
        gpu = {"gpu": told[-1]} if told else {}
        return {"workers": len(self._workers), **gpu}

    def _listed(self, file: ModelFile) -> ModelInfo:
        would_use = usual(file, self.settings, self.engine.gpu_layers)
        pooling = pooling_of(file.header, self.settings)
        info = listed(file, self._workers.get(file.id), pooling)
        return evolve(info, would_use=would_use)

    async def _found(self, model: str) -> ModelFile:
        file = await self.host.files.find(model)
        if file is None:
            raise ModelNotFound(model)
        return file

    async def _loaded(self, file: ModelFile, wanted: Plan) -> AsyncGenerator[LoadProgress, None]:
        worker = await self._new_worker(wanted)
        try:
            for step in (validated(self.host.files, file), worker.start()):
                async with aclosing(step) as stages:
                    async for progress in stages:
                        yield progress
        except OracError as error:
            await worker.stop()
            worker.fail(str(error))
            raise
        except BaseException:  # closed or cancelled: nothing of it may stay
            self._forget(worker)
            await worker.stop()
            raise

    async def _new_worker(self, wanted: Plan) -> Worker:
        await self.unload(wanted.file.id)
        self._started += 1
        socket = self.folder / f"{self._started}.sock"
        worker = Worker(wanted, self.engine, socket, self.settings.idle_timeout_s)
        self._workers[wanted.file.id] = worker
        return worker

    def _forget(self, worker: Worker) -> None:
        if self._workers.get(worker.file.id) is worker:
            del self._workers[worker.file.id]

    def _is_ready(self, model: str) -> bool:
        worker = self._workers.get(model)
        return worker is not None and worker.state is ModelState.READY


@asynccontextmanager
async def open_backend(settings: LlamaCppSettings, host: Host) -> AsyncIterator[LlamaCppBackend]:
    """Open a backend; leaving kills its workers and removes their sockets."""
    binary = settings.server_binary
    engine = EmbeddedEngine() if binary is None else ServerBinary(binary.expanduser())
    with socket_folder() as folder:
        backend = LlamaCppBackend(settings, host, engine, folder)
        try:
            yield backend
        finally:
            await backend.close()


def _only_embeds(model: str) -> InvalidRequest:
    return InvalidRequest(
        f"{model} makes vectors of texts, and continues none; take a model that lists the "
        "capability `completion`",
        {"model": "makes vectors only"},
    )
