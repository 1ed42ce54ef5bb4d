"""The bridge: what ORAC asks of a cluster over a Unix socket, one connection for each question.

Closing the connection gives the question up.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from attrs import define, field
from ray.serve.exceptions import RayServeException

from orac_core import BackendError, BackendUnavailable, OracError

from . import cluster, told
from .asking import Asking
from .frames import read_frame, write_frame
from .replica import OF_REPLICAS
from .spec import Spec
from .wire import END, Question, failed, packed, unpacked

T = TypeVar("T")
_FRESH_S = 0.5
_CALL_S = 20.0
_COMPARE_S = 300.0
_GOING, _GOING_LOOK_S = "DELETING", 0.05


@define(eq=False)
class Bridge:
    """A driver of a cluster.

    Attributes:
        patience_s: Time that a question has to be taken by a replica that lives on.
    """

    patience_s: float
    _threads: ThreadPoolExecutor = field(
        factory=lambda: ThreadPoolExecutor(8, "cluster"), init=False
    )
    _known: told.Cluster = field(factory=told.Cluster, init=False)
    _looked_at: float = field(default=float("-inf"), init=False)
    _looking: "asyncio.Task[told.Cluster] | None" = field(default=None, init=False)
    _changes: int = field(default=0, init=False)
    _as_of: int = field(default=0, init=False)
    _handles: dict[str, Any] = field(factory=dict, init=False)
    _turns: asyncio.Lock = field(factory=asyncio.Lock, init=False)
    _changing: set["asyncio.Future[None]"] = field(factory=set, init=False)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the one question of a connection."""
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            question = unpacked(await read_frame(reader), Question)
            answering = asyncio.create_task(self._answer(question, writer))
            leaving = asyncio.create_task(reader.read(1))
            await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
            for task in (answering, leaving):
                task.cancel()
            await asyncio.wait([answering, leaving])
        with suppress(OSError):
            writer.close()

    async def _answer(self, question: Question, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            async with aclosing(self._messages(question)) as messages:
                async for message in messages:
                    try:
                        await write_frame(writer, message)
                    except ValueError as error:
                        told = BackendError(f"{error} can not cross to ORAC; ask for less at once")
                        await write_frame(writer, failed(told))
                        return

    async def _messages(self, question: Question) -> AsyncGenerator[bytes, None]:
        """Yield the messages of an answer, whatever happens with one that ends it."""
        try:
            if question.operation in OF_REPLICAS:
                handle = (await self._handle(question.app)).options(stream=True)
                method = getattr(handle, question.operation)
                stream = Asking(question.app, self.patience_s).stream(method, question.body)
                async with aclosing(stream) as messages:
                    async for message in messages:
                        yield message
                return
            last = await self._operation(question)
        except OracError as error:
            last = failed(error)
        except Exception as error:  # noqa: BLE001 - Ray's errors have no root
            self._handles.pop(question.app, None)
            last = failed(BackendError(f"Ray: {type(error).__name__}: {_line(error)}"))
        yield last

    def _operation(self, question: Question) -> Awaitable[bytes]:
        operations: dict[str, Callable[[Question], Awaitable[bytes]]] = {
            "look": self._look,
            "compare": self._compare,
            "deploy": self._deploy,
            "delete": self._delete,
        }
        return operations[question.operation](question)

    async def _look(self, _: Question) -> bytes:
        return await _told(asyncio.create_task(self._seen()), _CALL_S)

    async def _seen(self) -> bytes:
        """Return how the cluster is, not older than the last change, however many there are."""
        while monotonic() - self._looked_at > _FRESH_S:
            if self._looking is None:
                self._looking = asyncio.create_task(self._call(cluster.look))
                self._as_of = self._changes
                self._looking.add_done_callback(partial(self._looked, self._as_of))
            as_of, seen = self._as_of, await asyncio.shield(self._looking)
            if as_of == self._changes:  # however long it took to be told
                return END + packed(seen)
        return END + packed(self._known)

    def _looked(self, as_of: int, looking: "asyncio.Task[told.Cluster]") -> None:
        """Keep what was seen, unless this bridge has changed something since it began to look."""
        self._looking = None
        if not looking.cancelled() and looking.exception() is None and as_of == self._changes:
            self._known, self._looked_at = looking.result(), monotonic()

    def _changed(self) -> None:
        self._changes += 1
        self._looked_at = float("-inf")

    async def _compare(self, question: Question) -> bytes:
        spec = unpacked(question.body, Spec)
        found = await self._call(partial(cluster.disagreeing, spec, _COMPARE_S), None)
        return END + packed(found)

    async def _deploy(self, question: Question) -> bytes:
        await self._change(partial(cluster.deploy, unpacked(question.body, Spec)))
        return END

    async def _delete(self, question: Question) -> bytes:
        self._handles.pop(question.app, None)
        await self._change(partial(cluster.delete, question.app))
        await self._gone(question.app)
        self._changed()
        return END

    async def _change(self, call: Callable[[], None]) -> None:
        """Change the cluster. Whoever leaves meanwhile does not end that: the next change waits."""
        changing = asyncio.create_task(self._in_turn(call))
        self._changing.add(changing)
        changing.add_done_callback(self._over)
        await asyncio.shield(changing)

    async def _in_turn(self, call: Callable[[], None]) -> None:
        """Call once every change before is over, also one that nobody waits for any more."""
        await self._turns.acquire()  # Ray can not pickle two deployments at once
        calling = self._begun(call)
        calling.add_done_callback(self._turn_over)
        await _told(asyncio.shield(calling), _CALL_S)

    def _turn_over(self, calling: "asyncio.Future[None]") -> None:
        self._turns.release()
        self._changed()
        self._over(calling)

    def _over(self, changing: "asyncio.Future[None]") -> None:
        self._changing.discard(changing)
        if not changing.cancelled():
            changing.exception()  # who asked is told; nobody may

    async def _gone(self, app: str) -> None:
        """Return when an application that is deleted is gone, or somebody has deployed it again."""
        going = False
        while (status := await self._call(partial(cluster.status, app))) is not None:
            if going and status != _GOING:
                return
            going = status == _GOING
            await asyncio.sleep(_GOING_LOOK_S)

    async def _handle(self, app: str) -> Any:
        if app not in self._handles:
            try:
                self._handles[app] = await self._call(partial(cluster.handle, app))
            except RayServeException as error:
                raise BackendUnavailable(f"{app} is not loaded; load it first") from error
        return self._handles[app]

    async def _call(self, call: Callable[[], T], within_s: float | None = _CALL_S) -> T:
        """Call what blocks, in a thread that is left behind when it takes too long."""
        return await _told(self._begun(call), within_s)

    def _begun(self, call: Callable[[], T]) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._threads, call)


async def _told(calling: "asyncio.Future[T]", within_s: float | None) -> T:
    try:
        async with asyncio.timeout(within_s):
            return await calling
    except TimeoutError as error:
        raise BackendError(
            f"the cluster did not answer within {within_s} s; `ray status` tells how it is",
        ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
