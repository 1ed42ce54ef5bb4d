"""One checkpoint in a process of its own."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from attrs import define, field

from orac_core import BackendError, Chunk, GenerateRequest, LoadedInfo, OracError

from .._launch import Launch
from .._model_process import ModelProcess, Served
from .._openai import stream_answer
from .checkpoint import Checkpoint
from .engine import launch
from .failures import failed_start, told
from .plan import Plan
from .question import question


@define(eq=False)
class Worker(ModelProcess):
    """A model that is being loaded, is loaded, or has failed.

    Attributes:
        plan: How the model is served.
    """

    plan: Plan
    _turn: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    @property
    def checkpoint(self) -> Checkpoint:
        """What it serves."""
        return self.plan.checkpoint

    @property
    def served(self) -> Served:
        """The checkpoint, and transformers."""
        found = self.checkpoint
        return Served("transformers", found.id, found.parts, self.plan.start_timeout_s)

    async def answer(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Yield the answer, when it is this request's turn.

        Raises:
            InvalidRequest: when the request is malformed, too long for the context, or asks for
                what can not be had here.
            BackendUnavailable: when the model is not ready, or the process dies.
            BackendError: when transformers fails.
        """
        body = question(
            request, self.plan.context_length, has_template=self.checkpoint.has_chat_template
        )
        async with self._turn, self._noticing_an_end(BackendError):
            stream = stream_answer(
                self._ready(), "/v1/completions", body, idle_s=self.plan.idle_timeout_s
            )
            async with aclosing(stream) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _launch(self, key: str) -> Launch:
        return launch(self.plan, key, self.socket)

    async def _told(self) -> LoadedInfo:
        used = (await self._get("/health")).json()
        on_gpu = str(used["device"]).startswith("cuda")
        self._gpu_bytes = int(used["gpu_bytes"])
        return LoadedInfo(
            context_length=self.plan.context_length,
            parallel=1,
            gpu_layers=(self.checkpoint.layers or 0) + 1 if on_gpu else 0,
            on_gpu_ratio=1.0 if on_gpu else 0.0,
        )

    def _failed_start(self) -> OracError:
        return failed_start(
            self.checkpoint.id, self.checkpoint.path, self._tail.lines, self._how_it_ended()
        )

    def _last_words(self) -> str:
        return told(self._tail.lines)
