"""What happens when whoever asked leaves before the end."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

from attrs import evolve

from ...conversation import Chunk, GenerateRequest
from ..broken import expect, need
from ..promise import Promise
from ..trial import Trial


def _long(trial: Trial) -> GenerateRequest:
    request = trial.asking("Tell a long story.")
    return evolve(request, options=evolve(request.options, max_tokens=4096))


async def _close_after(trial: Trial, most: int) -> Sequence[Chunk]:
    read: list[Chunk] = []
    async with aclosing(trial.instance.generate(_long(trial))) as chunks:
        async for chunk in chunks:
            read.append(chunk)
            if len(read) >= most:
                break
        await trial.ends_soon(chunks.aclose(), "an answer that was closed")
    return read


async def _stops_when_closed(trial: Trial) -> None:
    await trial.load()
    await _close_after(trial, 1 + trial.random.randrange(3))


async def _answers_after_a_close(trial: Trial) -> None:
    await trial.load()
    for _ in range(3):
        await _close_after(trial, 1 + trial.random.randrange(3))
    await trial.ask()


async def _stops_when_cancelled(trial: Trial) -> None:
    await trial.load()
    begun = asyncio.Event()

    async def read() -> None:
        async with aclosing(trial.instance.generate(_long(trial))) as chunks:
            async for _ in chunks:
                begun.set()

    task = asyncio.create_task(read())
    waiting = asyncio.create_task(begun.wait())
    await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    need(not task.done(), "the answer ended before it could be cancelled")
    task.cancel()
    await trial.ends_soon(asyncio.wait([task]), "an answer that was cancelled")
    expect(task.cancelled(), "generate swallowed the cancellation")
    await trial.ask()


async def _leaves_others_alone(trial: Trial) -> None:
    await trial.load()
    other = asyncio.create_task(trial.ask())
    await _close_after(trial, 1)
    await other


async def _unloads_after_a_close(trial: Trial) -> None:
    await trial.load()
    await _close_after(trial, 1)
    await trial.ends_soon(trial.unload(), "an unload after an answer that was closed")


LEAVING = (
    Promise(
        "closed",
        "an answer that is closed early ends within 2 seconds",
        "stand in `async with aclosing(…)` around every stream of the engine's; tell it to stop",
        _stops_when_closed,
    ),
    Promise(
        "closed-next",
        "after answers that were closed early the model answers as before",
        "give back in `finally` what an answer took: its turn, its connection, its slot",
        _answers_after_a_close,
    ),
    Promise(
        "cancelled",
        "a task that reads an answer can be cancelled, and ends within 2 seconds",
        "let CancelledError pass: catch Exception, never BaseException, and clean up in `finally`",
        _stops_when_cancelled,
    ),
    Promise(
        "closed-others",
        "an answer that is closed early ends no other",
        "stop the one answer in the engine, and not the engine",
        _leaves_others_alone,
    ),
    Promise(
        "closed-unload",
        "a model whose answer was closed early can be unloaded at once",
        "count an answer as over when its generator is closed",
        _unloads_after_a_close,
    ),
)
"""The promises of ``generate`` to who leaves early."""
