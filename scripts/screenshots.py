"""Makes the pictures of the dashboard that the README shows: light, dark, and on a phone.

It needs Debian's chromium. The server, its models and what its machine says are made up, so that
the pictures are the same on every machine.
"""

import asyncio
import re
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from attrs import define, evolve, frozen
from playwright.async_api import Browser, Page, ViewportSize, async_playwright

import orac_core
from orac_core import (
    GenerateRequest,
    LoadRequest,
    Message,
    ModelInfo,
    ModelManager,
    Rates,
    hookimpl,
)
from orac_core.devices import Device, Gpu, Machine, Memory, Sensors
from orac_core.devices.sample import DeviceSample
from orac_core.manifest import parse
from orac_core.state_directory import StateDirectory
from tests.browser.visiting import CHROMIUM, FLAGS, served
from tests.scripted import ScriptedBackend, ScriptedSettings, plugins

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
GIB = 1 << 30
TOTAL = 8 * GIB
OTHERS = int(1.6 * GIB)
CACHE = int(1.1 * GIB)

MODELS = {
    "Qwen3-1.7B-Q4_K_M": (1.1, "qwen3", "Q4_K_M", 1_720_000_000, 40_960),
    "Qwen3-4B-Q4_K_M": (2.5, "qwen3", "Q4_K_M", 4_020_000_000, 40_960),
    "Llama-3.2-3B-Instruct-Q6_K": (2.6, "llama", "Q6_K", 3_210_000_000, 131_072),
    "gemma-3-12b-it-Q4_K_M": (7.3, "gemma3", "Q4_K_M", 11_800_000_000, 131_072),
    "nomic-embed-text-v1.5": (0.3, "nomic-bert", "F16", 137_000_000, 2_048),
}
MANIFEST = {
    "backends": {"local": {"kind": "scripted", "models": list(MODELS)}},
    "models": {"keep_alive": "30m", "files": {"Qwen3-1.7B-Q4_K_M": {"required": True}}},
    "profiles": {
        "default": {"models": {"general": "Qwen3-1.7B-Q4_K_M", "coding": "Qwen3-4B-Q4_K_M"}}
    },
}
ANSWER = """The arm can reach the cup in **three moves**:

1. raise the gripper to 0.42 m,
2. turn the base by 35°,
3. lower it and close with 2 N.

```json
{"action": "grasp", "force_n": 2}
```
"""


@frozen
class Picture:
    """A picture: of which view, how big, in which colours."""

    name: str
    view: str
    width: int
    height: int
    scheme: Literal["light", "dark"]


PICTURES = (
    Picture("overview-light", "overview", 1200, 860, "light"),
    Picture("models-dark", "models", 1200, 700, "dark"),
    Picture("try-light", "try", 1200, 860, "light"),
    Picture("models-phone", "models", 390, 844, "dark"),
)


@define(eq=False)
class Board(ScriptedBackend):
    """A board that has these models.

    Attributes:
        hurried: Whether it writes at once, whatever its rate.
    """

    hurried: bool = True

    def _info(self, name: str) -> ModelInfo:
        gib, architecture, quantization, parameters, context = MODELS[name]
        return evolve(
            super()._info(name),
            size_bytes=int(gib * GIB),
            architecture=architecture,
            quantization=quantization,
            parameters=parameters,
            context_length=context,
            capabilities=("completion", "chat"),
        )

    async def _pass(self, step: str) -> None:
        """Write as fast as its rate says."""
        await super()._pass(step)
        rate = self.rates.decode_tokens_per_second
        if step.startswith("word") and rate and not self.hurried:
            await asyncio.sleep(1 / rate)

    @hookimpl
    async def models(self) -> list[ModelInfo]:
        """Return the models with all that is known of them."""
        return [self._info(name) for name in self.settings.models]


@define(eq=False)
class BoardSensors(Sensors):
    """What a small board says of itself while it works."""

    board: Board = None  # type: ignore[assignment]
    seconds: int = 0

    async def look(self) -> Machine:
        """Return what it says in full."""
        left = TOTAL - OTHERS - self.board.taken_bytes
        return Machine(
            Memory(TOTAL, left, max(left - CACHE, 0), min(CACHE, left), unified=True),
            Gpu("Orin", load_ratio=0.62, cuda="12.6"),
            Device(
                board="NVIDIA Jetson Orin Nano Developer Kit",
                jetpack="6.2",
                power_mode="25W",
                jetson_clocks=False,
                temperatures={"tj": 58.5},
                cpu_frequency_hz=1_510_400_000,
                cpu_frequency_max_hz=1_728_000_000,
                throttling=False,
            ),
        )

    async def sample(self) -> DeviceSample:
        """Return what changes from second to second."""
        self.seconds += 1
        wave = (self.seconds * 7 % 13) / 13
        left = TOTAL - OTHERS - self.board.taken_bytes - int(wave * GIB / 8)
        return DeviceSample(
            at=float(self.seconds),
            memory_available_bytes=left,
            gpu_load_ratio=0.5 + wave / 3,
            cpu_load_ratio=0.2 + wave / 5,
            hottest="tj",
            hottest_c=57.5 + 2 * wave,
            power_w={"VDD_IN": 9 + 4 * wave},
            throttling=False,
        )


async def main() -> None:
    """Make all pictures."""
    IMAGES.mkdir(exist_ok=True)
    sizes = {name: int(each[0] * GIB) for name, each in MODELS.items()}
    board = Board(
        ScriptedSettings(tuple(MODELS)), words=tuple(re.findall(r"\s*\S+\s?", ANSWER)), sizes=sizes
    )
    board.on_gpu_ratio = 1.0
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        opening = orac_core.open(
            parse(MANIFEST, "the pictures"),
            plugins=plugins(board),
            environ={},
            sensors=BoardSensors(board=board),
            state=StateDirectory(folder),
        )
        manager = await stack.enter_async_context(opening)
        address = await stack.enter_async_context(served(manager))
        playwright = await stack.enter_async_context(async_playwright())
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        stack.push_async_callback(launched.close)
        await lived_in(manager, board)
        await pictures(launched, address)


async def lived_in(manager: ModelManager, board: Board) -> None:
    """Let two models be loaded and have answered."""
    for name, rate in (("coding", 17.0), ("general", 31.0)):
        board.rates = Rates(640.0, rate)
        with manager.events.inbox(kinds={"baseline"}) as news:
            await manager.load(LoadRequest(name))
            await news.get()
        for number in range(12):
            board.rates = Rates(640.0, rate * (1 + 0.02 * (number * 5 % 7 - 3)))
            await manager.answer(GenerateRequest(name, (Message("user", "How?"),)))
    board.hurried = False


async def pictures(browser: Browser, address: str) -> None:
    """Take the pictures, one after another."""
    for each in PICTURES:
        size = ViewportSize(width=each.width, height=each.height)
        context = await browser.new_context(viewport=size, color_scheme=each.scheme)
        page = await context.new_page()
        await page.goto(f"{address}#/{each.view}")
        await seen(page, each.view)
        await page.screenshot(path=IMAGES / f"{each.name}.png")
        await context.close()


async def seen(page: Page, view: str) -> None:
    """Wait until there is something to see."""
    if view == "overview":
        await page.locator("figure").nth(4).wait_for()
        await page.wait_for_timeout(20_000)
    elif view == "models":
        await page.locator(".fits").first.wait_for()
        await page.wait_for_timeout(500)
    else:
        await page.locator("option").first.wait_for(state="attached")
        await page.get_by_label("Prompt").first.fill("How do I grasp the cup?")
        await page.get_by_role("button", name="Send").click()
        await page.get_by_text("in all").wait_for()
        await page.wait_for_timeout(300)


if __name__ == "__main__":
    asyncio.run(main())
