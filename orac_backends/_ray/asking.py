"""A question to the replicas of a model: asked again elsewhere as long as nobody has answered."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from attrs import define, field
from ray.exceptions import RayError, RayTaskError, TaskCancelledError
from ray.serve.exceptions import BackPressureError, RayServeException

from orac_core import BackendError, BackendUnavailable

from .wire import END, ERROR, TAKEN, Failure, failed, unpacked

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0


class Gone(Exception):
    """The replica is gone, or none is there, or it says that its model is gone."""


@define(eq=False)
class Asking:
    """One question.

    Attributes:
        app: The model, for messages.
        patience_s: Time that it has to be taken by a replica that lives on.
    """

    app: str
    patience_s: float
    _until: float = field(default=0.0, init=False)
    _pause_s: float = field(default=_FIRST_PAUSE_S, init=False)

    def __attrs_post_init__(self) -> None:
        self._until = asyncio.get_running_loop().time() + self.patience_s

    async def stream(self, method: Any, body: bytes) -> AsyncGenerator[bytes, None]:
        """Yield the messages of an answer; after the first piece nobody else is asked.

        Raises:
            BackendError: when a replica fails in a way that was not foreseen.
        """
        while True:
            begun = False
            try:
                async with aclosing(self._attempt(method, body)) as messages:
                    async for message in messages:
                        begun = True
                        yield message
            except Gone as error:
                if begun:
                    yield failed(self._cut(error))
                    return
                if not await self._again():
                    yield failed(self._given_up(error))
                    return
            else:
                return

    async def _attempt(self, method: Any, body: bytes) -> AsyncGenerator[bytes, None]:
        """Yield what one replica says; a message that ends the stream comes last, or `Gone`."""
        answers = method.remote(body)
        over = False
        try:
            message = await self._first(answers)
            while True:
                over = message[:1] in (END, ERROR)
                yield message
                if over:
                    return
                message = await _next(answers)
        finally:
            if not over:
                answers.cancel()

    async def _first(self, answers: Any) -> bytes:
        """Return the first message that tells something; a replica has to take it in time."""
        try:
            async with asyncio.timeout_at(self._until):
                message = await _next(answers)
        except TimeoutError as error:
            raise Gone(f"no replica took it within {self.patience_s:g} s") from error
        if message == TAKEN:
            message = await _next(answers)
        if message[:1] == ERROR:
            _refuse_gone(message)
        return message

    async def _again(self) -> bool:
        """Wait a moment; return whether there is time to ask once more."""
        left_s = self._until - asyncio.get_running_loop().time()
        if left_s <= 0:
            return False
        await asyncio.sleep(min(self._pause_s, left_s))
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        return True

    def _cut(self, error: Gone) -> BackendError:
        """Return what to tell of an answer that broke off; the model itself is still there."""
        return BackendError(
            f"the replica of {self.app} that was answering is gone ({error}); what has come of the "
            "answer is not whole: ask again",
        )

    def _given_up(self, error: Gone) -> BackendError:
        return BackendUnavailable(
            f"no replica of {self.app} answered within {self.patience_s:g} s ({error}); "
            "`GET /v1/health` tells how many run",
        )


async def _next(answers: Any) -> bytes:
    message: bytes = await _translated(anext(answers, b""))
    if not message:
        raise Gone("it broke off")
    return message


async def _translated(awaited: Any) -> Any:
    """Await something of Ray's, and tell what is gone from what is wrong."""
    try:
        return await awaited
    except BackPressureError as error:
        raise Gone("all replicas are busy, and as many wait as may") from error
    except (RayTaskError, TaskCancelledError) as error:
        raise BackendError(f"the replica failed: {_first_line(error)}") from error
    except (RayError, RayServeException) as error:
        raise Gone(f"{type(error).__name__}: {_first_line(error)}") from error


def _refuse_gone(message: bytes) -> None:
    failure = unpacked(message[1:], Failure)
    if failure.kind == BackendUnavailable.__name__:
        raise Gone(failure.message)


def _first_line(error: Exception) -> str:
    said = getattr(error, "cause", None) or error  # Ray puts a traceback before what was raised
    return next(iter(str(said).strip().splitlines()), type(said).__name__)[:300]
