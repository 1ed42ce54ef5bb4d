"""Driving a real backend from a test."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from time import monotonic

import psutil

from orac_core import (
    Chunk,
    GenerateOptions,
    GenerateRequest,
    LoadProgress,
    LoadRequest,
    Message,
    ModelInfo,
)


async def until(condition: Callable[[], object], within: float = 10.0) -> None:
    """Wait for a condition; fail when it does not come true in time."""
    deadline = monotonic() + within
    while not condition():
        assert monotonic() < deadline, f"not so within {within} s"
        await asyncio.sleep(0.01)


async def load(backend, model: str, **options) -> list[LoadProgress]:
    async with aclosing(backend.load(LoadRequest(model, **options))) as stages:
        return [progress async for progress in stages]


def chat(model: str, text: str = "hello", *, wanted=None, **options) -> GenerateRequest:
    messages = (Message("user", text),)
    return GenerateRequest(model, messages, format=wanted, options=GenerateOptions(**options))


def raw(model: str, prompt: str = "hello", *, wanted=None, **options) -> GenerateRequest:
    chosen = GenerateOptions(**options)
    return GenerateRequest(model, prompt=prompt, format=wanted, options=chosen)


async def ask(backend, request: GenerateRequest) -> list[Chunk]:
    async with aclosing(backend.generate(request)) as chunks:
        return [chunk async for chunk in chunks]


def words(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


async def told(backend, model: str) -> ModelInfo:
    return next(info for info in await backend.models() if info.id == model)


def pid_of(backend, model: str) -> int:
    return backend._workers[model]._process.pid


def runs(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def cpu_seconds(pid: int) -> float:
    used = psutil.Process(pid).cpu_times()
    return used.user + used.system


async def idle_within(pid: int, seconds: float) -> bool:
    """Whether a process stops computing in time: it uses less than a tenth of a core."""
    deadline = monotonic() + seconds
    while monotonic() < deadline:
        before = cpu_seconds(pid)
        await asyncio.sleep(0.3)
        if cpu_seconds(pid) - before < 0.03:
            return True
    return False


def children() -> list[int]:
    return [child.pid for child in psutil.Process().children(recursive=True)]


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
