"""Backends for the benchmarks of the kind ``ray``, and questions to them."""

import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

from attrs import frozen

from orac_core import (
    BackendError,
    GenerateOptions,
    GenerateRequest,
    Host,
    Instance,
    LoadRequest,
    Message,
    ModelFiles,
    OracError,
    Plugins,
)

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "orac_server" / "demo"
Tables = Mapping[str, Mapping[str, Any]]


@frozen
class Answer:
    """What came of a question.

    Attributes:
        first_s: Time to the first piece; None when there was none.
        whole_s: Time to the end.
        pieces: Pieces with text.
        ended: Whether the last one said so.
        error: Name of the error that ended it.
    """

    first_s: float | None
    whole_s: float
    pieces: int
    ended: bool
    error: str | None = None


def python_table(**models: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a backend of kind ``python`` with those workloads."""
    return {
        "models": {
            name: {
                "loader": f"workloads:{name.partition('-')[0]}",
                "kwargs": kwargs,
                "parallel": 64,
            }
            for name, kwargs in models.items()
        }
    }


def on_nodes(name: str, kwargs: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
    """Return the table of a workload that replicas serve."""
    inner = python_table(**{name: kwargs})
    return {"kind": "python", "num_cpus": 0.1, "parallel": 64, "settings": inner} | settings


def importable() -> None:
    """Let every process that is started find the workloads."""
    here = str(Path(__file__).parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


def opened(kind: str, table: Mapping[str, Any]) -> AbstractAsyncContextManager[Instance]:
    """Open a backend as a manifest would."""
    plugins = Plugins.discover()
    found, settings = plugins.settled(kind, table)
    return plugins.open(kind, found, settings, Host(ModelFiles.below([DEMO])))


@asynccontextmanager
async def loaded(kind: str, table: Mapping[str, Any], *models: str) -> AsyncIterator[Instance]:
    """Open a backend that has those models loaded."""
    async with opened(kind, table) as instance:
        for model in models:
            await load(instance, model)
        yield instance


async def load(instance: Instance, model: str) -> float:
    """Load a model; return the seconds that it took."""
    started = time.perf_counter()
    async with aclosing(instance.load(LoadRequest(model))) as stages:
        async for _ in stages:
            pass
    return time.perf_counter() - started


async def ask(instance: Instance, model: str, text: str, tokens: int = 100_000) -> Answer:
    """Ask a question, and return what came of it."""
    options = GenerateOptions(max_tokens=tokens, temperature=0.0, seed=1)
    request = GenerateRequest(model, messages=(Message("user", text),), options=options)
    first, pieces, ended, error = None, 0, False, None
    started = time.perf_counter()
    try:
        async with aclosing(instance.generate(request)) as chunks:
            async for chunk in chunks:
                first = first or time.perf_counter() - started
                pieces += bool(chunk.text)
                ended = chunk.done
    except OracError as failure:
        error = type(failure).__name__
    return Answer(first, time.perf_counter() - started, pieces, ended, error)


async def asked(instance: Instance, model: str, text: str, tokens: int = 100_000) -> Answer:
    """Ask a question that has to be answered.

    Raises:
        BackendError: when it is not.
    """
    answer = await ask(instance, model, text, tokens)
    if answer.error or not answer.ended:
        raise BackendError(f"{model} did not answer: {answer}")
    return answer


def middle_ms(seconds: list[float]) -> float:
    """Return their median in milliseconds."""
    return median(seconds) * 1e3
