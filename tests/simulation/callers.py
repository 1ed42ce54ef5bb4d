"""Those who ask the manager for something, and note how it ended."""

import asyncio
import math
from collections.abc import Callable, Collection, Coroutine
from contextlib import aclosing
from typing import Any

from attrs import define, field

from orac_core import (
    Answer,
    DeadlineExceeded,
    GenerateRequest,
    LoadRequest,
    Message,
    ModelManager,
    OracError,
)
from orac_core.memory import explained
from tests.simulation.engine import SLOW_STOP_S

SLACK_S = SLOW_STOP_S + 0.1
"""How much later than its deadline a request may end: its answer has to be closed."""


@define(eq=False)
class Caller:
    """Somebody who asked for something.

    Attributes:
        what: What was asked: ``prompt``, ``load`` …
        name: Of the model, as it was asked for.
        deadline_s: How long it may take; None where nothing was said.
        keep_alive_s: How long the model shall stay afterwards; None where nothing was said.
        ends: How it ended; one entry when all is well.
        wrongs: What was wrong with the answer.
        begun: Whether its task ran at all; one that is cancelled before never asks.
        begun_at: When it asked.
        ended_at: When it was done; infinity before.
        error: What it was refused with.
    """

    what: str
    name: str
    deadline_s: float | None = None
    keep_alive_s: float | None = None
    ends: list[str] = field(factory=list)
    wrongs: list[str] = field(factory=list)
    begun: bool = False
    begun_at: float = math.inf
    ended_at: float = math.inf
    error: OracError | None = None
    task: asyncio.Task[None] = field(init=False)

    @property
    def model(self) -> str:
        """Id of the model, of which there is but one of that name."""
        return self.name.rpartition("/")[2]

    def start(self, work: Callable[[], Coroutine[Any, Any, str]]) -> "Caller":
        """Run *work*; what it returns, or the name of its error, is how it ended."""
        self.task = asyncio.create_task(self._see(work), name=f"{self.what} {self.name}")
        return self

    async def _see(self, work: Callable[[], Coroutine[Any, Any, str]]) -> None:
        clock = asyncio.get_running_loop().time
        self.begun, self.begun_at = True, clock()
        try:
            self.ends.append(await work())
        except OracError as error:
            self.error = error
            self.ends.append(type(error).__name__)
        except asyncio.CancelledError:
            self.ends.append("left")
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not come out
            self.wrongs.append(f"{self} raised {error!r}")
        self.ended_at = clock()
        self._judge(self.ended_at - self.begun_at)

    def _judge(self, took_s: float) -> None:
        if self.deadline_s is None:
            return
        if took_s > self.deadline_s + SLACK_S:
            self.wrongs.append(f"{self} took {took_s:g} s")
        if self.ends == [DeadlineExceeded.__name__] and took_s < self.deadline_s - 0.001:
            self.wrongs.append(f"{self} was said to be late after {took_s:g} s")

    def __str__(self) -> str:
        limit = "" if self.deadline_s is None else f" within {self.deadline_s:g} s"
        return f"{self.what} of {self.name}{limit}"


def ask(
    manager: ModelManager,
    name: str,
    deadline_s: float | None = None,
    pieces: int | None = None,
    keep_alive_s: float | None = None,
) -> Caller:
    """Ask for an answer, and read all of it, or only so many *pieces*."""
    limit = manager.limits.deadline_s if deadline_s is None else deadline_s
    caller = Caller("prompt", name, limit, keep_alive_s)
    return caller.start(lambda: _read(manager, caller, deadline_s, pieces))


def load(manager: ModelManager, request: LoadRequest) -> Caller:
    async def work() -> str:
        return type(await manager.load(request)).__name__

    return Caller("load", request.model, keep_alive_s=request.keep_alive_s).start(work)


def plan(manager: ModelManager, request: LoadRequest, kept: Collection[str]) -> Caller:
    """Ask what a load would take; nobody who is *kept* may have to go for it."""
    caller = Caller("plan", request.model)

    async def work() -> str:
        found = await manager.plan(request)
        going = {each.name.rpartition("/")[2] for each in found.evict if not each.leaving}
        if going & {*kept, caller.model} or not explained(found):
            caller.wrongs.append(f"{caller} says that {going} should go")
        return "planned"

    return caller.start(work)


async def _read(
    manager: ModelManager, caller: Caller, deadline_s: float | None, pieces: int | None
) -> str:
    messages, keep_s = (Message("user", "hello"),), caller.keep_alive_s
    request = GenerateRequest(caller.name, messages=messages, keep_alive_s=keep_s)
    got: list[str] = []
    end = ""
    async with aclosing(manager.generate(request, deadline_s=deadline_s)) as stream:
        async for piece in stream:
            if end:
                caller.wrongs.append(f"{caller} went on after its end with {piece}")
            elif isinstance(piece, Answer):
                end = _checked(caller, piece, got)
            else:
                got.append(piece.text)
                if len(got) == pieces:
                    return "left"
    return end or "broke off"


def _checked(caller: Caller, answer: Answer, got: list[str]) -> str:
    whole = answer.usage.completion_tokens
    if answer.text != "".join(got) or (answer.finish_reason == "stop" and whole != len(got)):
        caller.wrongs.append(f"{caller} was answered {answer}, and got {got}")
    return answer.finish_reason
