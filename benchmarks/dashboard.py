"""Whether the page stays quick: size, first content, 200 models, an hour of samples, long answers.

Everything is measured in Debian's Chromium against a server in this process. Tasks are noted by the
Long Tasks API (https://w3c.github.io/longtasks/), which tells those of 50 ms and more; as other
programs can only make them longer, the best of three visits counts. Exits with 1 when a target is
missed.

    python benchmarks/dashboard.py
"""

import asyncio
import gzip
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from attrs import frozen
from playwright.async_api import Browser, Page, async_playwright

import orac_core
from orac_core import Chunk, Usage
from orac_core.manifest import parse
from tests.browser.visiting import CHROMIUM, FLAGS, SCRIPTED, served
from tests.scripted import ScriptedBackend, ScriptedSettings, plugins

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "orac_server" / "dashboard"
MODELS, SAMPLES, TOKENS, OPENINGS, VISITS = 200, 3600, 2000, 5, 3
LINE = ["## Part ", "- a ", "**bold** ", "word ", "`code` ", "and ", "so ", "on", ".\n", "\n"]
KIB = 1000

PROMISES = (
    (f"longest task while {MODELS} models are loaded", 50, "ms"),
    ("longest task while they are filtered and sorted", 50, "ms"),
    (f"longest task with {SAMPLES} samples drawn", 50, "ms"),
    ("growth of the memory in a second hour", 1, "MB"),
    (f"an answer of {TOKENS} tokens is drawn after its end", 250, "ms"),
    ("longest task while it is drawn", 50, "ms"),
)
"""What is promised of a visit, in the order in which it is measured."""

WATCH = """
window.longest = 0;
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) window.longest = Math.max(window.longest, each.duration);
}).observe({ type: "longtask", buffered: true });
"""

PAINT = """() => new Promise((resolve) => {
  new PerformanceObserver((list) => resolve(list.getEntries()[0].startTime))
    .observe({ type: "paint", buffered: true });
})"""

FEED = """async ([from, count, pause]) => {
  const { store } = await import("/dashboard/store.js");
  for (let second = from; second < from + count; second += 1) {
    const at = new Date(1.8e12 + 1000 * second).toISOString();
    store.take({ name: "sample", data: {
      at, memory_available_bytes: 4e9 + 1e8 * Math.sin(second), gpu_load_ratio: Math.random(),
      cpu_load_ratio: Math.random(), hottest_c: 50 + Math.random(), hottest: "cpu",
      power: { watts: 7 + Math.random(), source: "VDD_IN" }, throttling: false,
    } });
    if (pause || second % 20 === 0) await new Promise((next) => setTimeout(next, pause));
  }
}"""

SETTLED = """() => new Promise((resolve) => {
  const figures = document.querySelector(".figures");
  const text = document.querySelector(".answer .text");
  let drawn = performance.now();
  let ended = null;
  new MutationObserver(() => { drawn = performance.now(); })
    .observe(text, { childList: true, subtree: true, characterData: true });
  new MutationObserver(() => {
    if (ended === null && figures.textContent.includes("in all")) {
      ended = performance.now();
      setTimeout(() => resolve(drawn - ended), 500);
    }
  }).observe(figures, { childList: true, subtree: true, characterData: true });
})"""


@frozen
class Figure:
    """A figure with what is promised of it."""

    name: str
    value: float
    most: float
    unit: str

    @property
    def good(self) -> bool:
        """Whether the promise is kept."""
        return self.value <= self.most

    def __str__(self) -> str:
        return f"{self.name:52} {self.value:8.1f} {self.unit:4} (at most {self.most:g})"


async def main() -> int:
    """Measure, print the figures, and return the exit code."""
    figures = [Figure("the whole page by gzip", size_kb(), 150, "kB")]
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        stack.push_async_callback(launched.close)
        backend = crowded()
        opening = orac_core.open(parse(SCRIPTED, "a"), plugins=plugins(backend), environ={})
        manager = await stack.enter_async_context(opening)
        address = await stack.enter_async_context(served(manager))
        figures.append(Figure("first content", await first_content(launched, address), 300, "ms"))
        figures += await best(launched, address, backend)
    for each in figures:
        print(each, "" if each.good else "MISSED")
    return 0 if all(each.good for each in figures) else 1


async def best(browser: Browser, address: str, backend: ScriptedBackend) -> list[Figure]:
    """Return the figures of several visits, of each the best."""
    visits = [
        (
            *await crowd(browser, address),
            *await hour(browser, address),
            *await answer(browser, address, backend),
        )
        for _ in range(VISITS)
    ]
    found = zip(PROMISES, map(min, zip(*visits, strict=True)), strict=True)
    return [Figure(name, value, most, unit) for (name, most, unit), value in found]


def size_kb() -> float:
    """Return the size of all that the page is made of."""
    files = (each for each in PAGE.rglob("*") if each.is_file())
    return sum(len(gzip.compress(each.read_bytes())) for each in files) / KIB


def crowded() -> ScriptedBackend:
    """Return a backend with many models, whose answers are long."""
    names = tuple(f"model-{number:03}-Q4_K_M" for number in range(MODELS))
    sizes = {name: (number + 1) << 20 for number, name in enumerate(names)}
    return ScriptedBackend(ScriptedSettings(names), sizes=sizes)


async def first_content(browser: Browser, address: str) -> float:
    """Return the median time to the first content, nothing of it cached."""
    found = []
    for _ in range(OPENINGS):
        page = await browser.new_page()
        await page.goto(address)
        found.append(await page.evaluate(PAINT))
        await page.close()
    return float(median(found))


async def watched(browser: Browser, address: str, view: str) -> Page:
    """Return a page that notes its longest task from the start on."""
    page = await browser.new_page(viewport={"width": 1200, "height": 800})
    await page.add_init_script(WATCH)
    await page.goto(f"{address}#/{view}")
    return page


async def longest(page: Page) -> float:
    """Return the longest task since the last call, in ms; 0 when none took 50."""
    await page.wait_for_timeout(300)
    return float(await page.evaluate("[window.longest, (window.longest = 0)][0]"))


async def crowd(browser: Browser, address: str) -> tuple[float, float]:
    """Look at many models, filter them, sort them, scroll to their end."""
    page = await watched(browser, address, "models")
    await page.locator("tr.model").first.wait_for()
    opened = await longest(page)
    await page.get_by_role("searchbox").press_sequentially("model-1", delay=60)
    await page.get_by_role("searchbox").fill("")
    for _ in range(3):
        await page.get_by_role("button", name="Size").click()
    while await page.get_by_text("Show more").count():
        await page.evaluate("scrollTo(0, document.body.scrollHeight)")
        await page.wait_for_timeout(50)
    used = await longest(page)
    await page.close()
    return opened, used


async def hour(browser: Browser, address: str) -> tuple[float, float]:
    """Let an hour pass, then more, with everything drawn."""
    page = await watched(browser, address, "overview")
    await page.locator("figure").first.wait_for()
    await page.evaluate(FEED, [0, SAMPLES, 0])
    first = await heap_mb(page)
    await longest(page)
    await page.evaluate(FEED, [SAMPLES, 50, 100])
    smooth = await longest(page)
    await page.evaluate(FEED, [2 * SAMPLES, SAMPLES, 0])
    second = await heap_mb(page)
    await page.close()
    return smooth, second - first


async def heap_mb(page: Page) -> float:
    """Return what the page's objects take once everything that can go has gone."""
    session = await page.context.new_cdp_session(page)
    await page.wait_for_timeout(500)
    for _ in range(3):
        await session.send("HeapProfiler.collectGarbage")
    found: dict[str, Any] = await session.send("Runtime.getHeapUsage")
    await session.detach()
    return float(found["usedSize"]) / 1e6


async def answer(browser: Browser, address: str, backend: ScriptedBackend) -> tuple[float, float]:
    """Let a model answer with many tokens of Markdown at once."""
    pieces = [Chunk(LINE[number % len(LINE)]) for number in range(TOKENS)]
    last = Chunk(done=True, finish_reason="stop", usage=Usage(2, TOKENS, 0))
    page = await watched(browser, address, "try")
    await page.locator("option").first.wait_for(state="attached")
    await page.get_by_label("Prompt").first.fill("go on")
    await longest(page)
    backend.scripts.append((*pieces, last))
    settling = asyncio.create_task(page.evaluate(SETTLED))
    await page.wait_for_timeout(100)
    await page.get_by_role("button", name="Send").click()
    behind = float(await settling)
    slowest = await longest(page)
    await page.close()
    return behind, slowest


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
