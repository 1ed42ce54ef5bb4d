"""How fast the kind ``ray`` is beside the kind that serves in its replicas."""

import asyncio
import os
import time
from contextlib import AsyncExitStack
from typing import Any

from attrs import define, field

from orac_core import Instance, OracError

from .asking import DEMO, asked, importable, load, loaded, middle_ms, on_nodes, opened, python_table
from .processes import below, difference, memory_mib, used_s

DEMO_MODEL = "orac-robot"
ASKED, TOKENS = "Move forward", 4
SHORT, LONG = "5", "20000"
WARM = 20
IDLE_S = 5.0
Figures = dict[str, Any]


@define(eq=False)
class Turns:
    """Seconds of questions that are asked of both in turns."""

    direct: Instance
    cluster: Instance
    first: dict[str, list[float]] = field(factory=lambda: {"direct": [], "ray": []})
    whole: dict[str, list[float]] = field(factory=lambda: {"direct": [], "ray": []})

    async def take(self, model: str, text: str, tokens: int, times: int) -> Figures:
        """Ask so often, and return the medians in milliseconds."""
        for each in range(WARM + times):
            for name, instance in (("direct", self.direct), ("ray", self.cluster)):
                answer = await asked(instance, model, text, tokens)
                if each >= WARM:
                    self.first[name].append(answer.first_s or answer.whole_s)
                    self.whole[name].append(answer.whole_s)
        told = {f"{name} first ms": middle_ms(it) for name, it in self.first.items()}
        return told | {f"{name} whole ms": middle_ms(it) for name, it in self.whole.items()}


async def measured(times: int) -> Figures:
    """Return all figures of a cluster of this machine alone."""
    importable()
    figures: Figures = {}
    async with AsyncExitStack() as stack:
        demo = await stack.enter_async_context(loaded("llamacpp", {}, DEMO_MODEL))
        fast = await stack.enter_async_context(loaded("python", python_table(fast={}), "fast"))
        started = time.perf_counter()
        ray = await stack.enter_async_context(opened("ray", table(4.0)))
        await usable(ray)
        figures["connect s"] = time.perf_counter() - started
        figures["load s"] = {name: await load(ray, name) for name in (DEMO_MODEL, "fast")}
        figures["llama.cpp"] = await Turns(demo, ray).take(DEMO_MODEL, ASKED, TOKENS, times)
        figures["python"] = await Turns(fast, ray).take("fast", SHORT, 100, times)
        figures["tokens/s"] = {"direct": await flow(fast), "ray": await flow(ray)}
        figures["memory MiB"] = memory_mib(below(os.getpid()))
        figures["idle % of a core"] = await idle()
        figures["unload s"] = {name: await unload(ray, name) for name in (DEMO_MODEL, "fast")}
    async with loaded("ray", table(0.0), "fast") as ray:
        figures["tokens/s"]["ray, batch_ms = 0"] = await flow(ray)
    return figures


def table(batch_ms: float) -> Figures:
    """Return the settings of a backend of kind ``ray``."""
    demo = {"kind": "llamacpp", "num_cpus": 0.1, "paths": [str(DEMO)]}
    return {"batch_ms": batch_ms, "models": {DEMO_MODEL: demo, "fast": on_nodes("fast", {})}}


async def usable(instance: Instance) -> None:
    """Wait until the cluster answers."""
    while True:
        try:
            if (await instance.health()).usable:
                return
        except OracError:
            pass
        await asyncio.sleep(0.02)


async def flow(instance: Instance) -> float:
    """Return the tokens in a second of one stream, the median of five."""
    rates = []
    for _ in range(5):
        answer = await asked(instance, "fast", LONG)
        rates.append(int(LONG) / answer.whole_s)
    return sorted(rates)[2]


async def idle() -> dict[str, float]:
    """Return the share of a core that each process takes while nobody asks anything."""
    table = below(os.getpid())
    before, started = used_s(table), time.perf_counter()
    await asyncio.sleep(IDLE_S)
    used = difference(before, used_s(table))
    took = time.perf_counter() - started
    return {name: round(100 * it / took, 2) for name, it in used.items()}


async def unload(instance: Instance, model: str) -> float:
    """Return the seconds that it takes to unload a model."""
    started = time.perf_counter()
    await instance.unload(model)
    return time.perf_counter() - started
