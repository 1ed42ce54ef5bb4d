"""A real browser that looks at a service; whatever it complains of fails the test."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from attrs import define, field, frozen
from playwright.async_api import Browser, Locator, Page, async_playwright, expect

import orac_core
from orac_core import ModelManager, Plugins
from orac_core.devices import Sensors
from orac_core.manifest import ServerSettings, parse
from orac_core.state_directory import StateDirectory
from orac_server import create_app
from orac_server.access.arranged import arranged
from orac_server.access.guard import Guard
from orac_server.service import bound, listening, url
from tests.scripted import plugins

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
SCRIPTED = {"backends": {"fake": {"kind": "scripted"}}}
REFUSED = "Failed to load resource"
"""What the browser itself says of an answer that is an error, or does not come."""

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="no chromium is installed")


@define(eq=False)
class Visit:
    """A page that is open, and what its console complained of.

    Attributes:
        page: The page.
        address: Where its server is.
        manager: What that serves.
        refusals: Whether answers that are errors are part of the test.
    """

    page: Page
    address: str
    manager: ModelManager
    refusals: bool = False
    complaints: list[str] = field(factory=list)

    def model(self, name: str) -> Locator:
        return self.page.locator(f"tr.model[data-model={name!r}]")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    async def look(self, view: str) -> None:
        """Go to another view."""
        await self.page.get_by_role("link", name=view, exact=True).click()
        await expect(self.page.locator("main")).to_have_attribute("aria-label", view)

    async def ask(self, model: str, prompt: str) -> None:
        await self.page.get_by_label("Model", exact=True).select_option(model)
        await self.page.get_by_label("Prompt", exact=False).first.fill(prompt)
        await self.button("Send").click()

    def listen(self) -> None:
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.complaints.extend(self._foreign(request.url)))

    def _foreign(self, asked: str) -> list[str]:
        parts = urlsplit(asked)
        own = parts.scheme in {"blob", "data"} or parts.netloc == urlsplit(self.address).netloc
        return [] if own else [f"it asked {asked}"]

    def check(self) -> None:
        """Fail for anything that was complained of."""
        allowed = REFUSED if self.refusals else "nothing"
        assert [each for each in self.complaints if not each.startswith(allowed)] == []


@frozen
class Setting:
    """What is served, and to which window; see `Visit` for the rest."""

    manifest: dict | None = None
    plugins: Plugins | None = None
    sensors: Sensors | None = None
    tokens: dict[str, str] | None = None
    width: int = 1100
    scheme: str = "light"
    refusals: bool = False

    @property
    def guard(self) -> Guard | None:
        if self.tokens is None:
            return None
        return arranged("127.0.0.1", "", ServerSettings(), self.tokens)

    def opening(self, backend, folder):
        known = parse(self.manifest or (SCRIPTED if backend else {}), "a test")
        found = self.plugins or (plugins(backend) if backend else None)
        return orac_core.open(
            known,
            models_dir=folder,
            plugins=found,
            environ={},
            sensors=self.sensors,
            state=StateDirectory(folder / "state"),
        )


@asynccontextmanager
async def served(manager: ModelManager, port: int = 0, guard: Guard | None = None):
    """Serve a manager; yields the address."""
    with bound("127.0.0.1", port) as listener:
        async with listening(create_app(manager, guard=guard), listener):
            yield url(listener)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all tests; each has pages of its own."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visit(tmp_path, browser):
    """Serves a scripted backend, or the real one when none is given, and opens its page."""
    visits: list[Visit] = []
    async with AsyncExitStack() as stack:

        async def opened(backend=None, view="models", **wishes):
            setting = Setting(**wishes)
            manager = await stack.enter_async_context(setting.opening(backend, tmp_path))
            address = await stack.enter_async_context(served(manager, guard=setting.guard))
            context = await browser.new_context(
                viewport={"width": setting.width, "height": 800}, color_scheme=setting.scheme
            )
            stack.push_async_callback(context.close)
            page = await context.new_page()
            page.set_default_timeout(15_000)
            visits.append(Visit(page, address, manager, setting.refusals))
            visits[-1].listen()
            await page.goto(f"{address}#/{view}")
            await expect(page.locator("nav")).to_be_visible()
            return visits[-1]

        yield opened
    for each in visits:
        each.check()
