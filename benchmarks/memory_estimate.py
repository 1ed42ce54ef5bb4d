"""What a model needs in memory: the estimate, and what the engine really takes.

Writes models of the six architectures ORAC is made for and two that make vectors, with random
weights of some hundred MiB, loads each on the real engine as the server does, has it read a text of
several batches, and compares the resident memory of the worker with the estimate. Exits with 1 when
any row is off by more than 15 % and by more than 32 MiB.

    python benchmarks/memory_estimate.py [--only NAME]
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import gguf
from attrs import frozen
from rich.console import Console
from rich.table import Table

import orac_core
from orac_core import (
    EmbedRequest,
    GenerateOptions,
    GenerateRequest,
    LoadRequest,
    Manifest,
    ModelManager,
)
from orac_core.memory import Need, Setup, estimate
from tests.tiny_models import write
from tests.tiny_specialists import TinyBert, write_bert

MIB = 1024**2
ALLOWED_RATIO, ALLOWED_BYTES = 0.15, 32 * MIB
CONTEXT = 32_768
WORDS = "hello the world "
SHORT, LONG, LONG_FROM = 70, 90, 2048  # repetitions: a long prompt fills the first batch of 512

FIELDS = ("width", "layers", "heads", "kv_heads", "head_width", "hidden", "more_tokens")
MODELS = {
    "tiny-qwen3-0.6b": (512, 12, 8, 4, 128, 1536, 150_000),
    "tiny-qwen3-1.7b": (1024, 2, 16, 16, 128, 24_576, 60_000),
    "tiny-tinyllama": (1024, 8, 16, 4, 64, 2816, 31_000),
    "tiny-pythia": (768, 6, 12, 12, 64, 3072, 50_000),
    "tiny-distilgpt2": (768, 6, 12, 12, 64, 3072, 50_000),
    "tiny-phi2": (1024, 2, 16, 16, 64, 49_152, 50_000),
}
"""Larger shapes of them; two have a feed-forward part so wide that computing takes the most."""

SETUPS = tuple(
    Setup(context, parallel, gpu_layers=0)
    for context, parallel in ((512, 1), (4096, 1), (4096, 2), (16_384, 1), (32_768, 1))
)

VECTORS: dict[str, TinyBert | tuple[int, ...]] = {
    "bert": TinyBert(
        width=768, layers=12, heads=12, hidden=3072, more_tokens=30_000, context_length=2048
    ),
    "qwen3-last": (512, 12, 8, 4, 128, 1536, 150_000),
}
"""Models that make vectors: one reads a text as a whole, of one the last token counts."""

VECTOR_SETUPS = tuple(
    Setup(context, parallel, gpu_layers=0) for context, parallel in ((512, 1), (512, 2), (2048, 1))
)


@frozen
class Row:
    """One model, served in one way."""

    model: str
    setup: Setup
    need: Need
    measured_bytes: int

    @property
    def off_bytes(self) -> int:
        """How much the estimate is too high; negative when it is too low."""
        return self.need.total_bytes - self.measured_bytes

    @property
    def good(self) -> bool:
        """Whether the promise is kept."""
        return abs(self.off_bytes) <= max(ALLOWED_BYTES, ALLOWED_RATIO * self.measured_bytes)


def main() -> int:
    """Measure, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(description="What a model needs in memory.")
    parser.add_argument("--only", choices=sorted(MODELS | VECTORS))
    only = parser.parse_args().only
    names = [only] if only else sorted(MODELS | VECTORS)
    rows = [row for name in names for row in asyncio.run(measured(name))]
    Console(width=120).print(table(rows))
    good = all(row.good for row in rows)
    print("good" if good else "the promise is broken")
    return 0 if good else 1


async def measured(name: str) -> list[Row]:
    """Return a row for each way to serve the model."""
    with tempfile.TemporaryDirectory() as folder:
        written(Path(folder), name)
        setups = VECTOR_SETUPS if name in VECTORS else SETUPS
        async with orac_core.open(Manifest(), models_dir=Path(folder), environ={}) as manager:
            return [await measured_once(manager, name, each) for each in setups]


def written(folder: Path, name: str) -> None:
    """Write the larger model of that name."""
    shape = VECTORS.get(name)
    if isinstance(shape, TinyBert):
        write_bert(folder, name, shape)
    elif shape is not None:
        pooling = gguf.PoolingType.LAST
        write(folder, "tiny-qwen3-0.6b", stem=name, pooling=pooling, **larger(shape))
    else:
        write(folder, name, **larger(MODELS[name]))


def larger(figures: Sequence[int]) -> dict[str, Any]:
    """Return what to change in a tiny model."""
    return {"context_length": CONTEXT, **dict(zip(FIELDS, figures, strict=True))}


async def measured_once(manager: ModelManager, name: str, setup: Setup) -> Row:
    """Load the model, have it read a prompt, and compare."""
    await manager.load(LoadRequest(name, setup.context_length, 0, setup.parallel))
    times = SHORT if setup.context_length < LONG_FROM else LONG
    if name in VECTORS:
        tokens_a_word = 1 if name == "bert" else 2
        words = "hello " * (setup.context_length // tokens_a_word - 2)
        await manager.embed(EmbedRequest(name, (words,) * (2 * setup.parallel)))
    else:
        options = GenerateOptions(max_tokens=4)
        await manager.answer(GenerateRequest(name, prompt=WORDS * times, options=options))
    info = (await manager.find(name)).info
    await manager.unload(name)
    if info.shape is None or info.loaded is None or info.loaded.memory_bytes is None:
        raise RuntimeError(f"{name}: nothing to compare")
    return Row(name, setup, estimate(info.shape, setup), info.loaded.memory_bytes)


def table(rows: Sequence[Row]) -> Table:
    """Return the figures as a table, in MiB."""
    heads = ("context", "answers", "weights", "cache", "compute", "process", "sum", "measured")
    shown = Table("model", *heads, "off", title="MiB")
    for row in rows:
        need, setup = row.need, row.setup
        parts = (need.weights_bytes, need.kv_cache_bytes, need.compute_bytes, need.margin_bytes)
        figures = (*parts, need.total_bytes, row.measured_bytes)
        shown.add_row(
            row.model,
            str(setup.context_length),
            str(setup.parallel),
            *(f"{figure / MIB:.0f}" for figure in figures),
            f"{row.off_bytes / MIB:+.0f} ({row.off_bytes / row.measured_bytes:+.1%})",
            style="" if row.good else "red",
        )
    return shown


if __name__ == "__main__":
    raise SystemExit(main())
