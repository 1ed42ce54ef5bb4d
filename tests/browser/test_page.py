"""The page in a real browser."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from attrs import define, field
from playwright.async_api import Locator, Page, async_playwright, expect

import orac_core
from orac_core import BackendError
from orac_core.manifest import parse
from tests.scripted import ScriptedBackend, ScriptedSettings, plugins
from tests.server.serving import service as serving
from tests.tiny_models import write
from tests.waiting import until

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
SCRIPTED = {"backends": {"fake": {"kind": "scripted"}}}
MARKUP = "<img src=x onerror=alert(1)>"

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="no chromium is installed")


@define(eq=False)
class Visit:
    """A page that is open, and what its console complained of."""

    page: Page
    complaints: list[str] = field(factory=list)

    def model(self, name: str) -> Locator:
        return self.page.locator(".model").filter(has=self.page.get_by_text(name, exact=True))

    async def ask(self, model: str, prompt: str) -> None:
        await self.page.get_by_label("Model", exact=True).select_option(model)
        await self.page.get_by_label("Text").fill(prompt)
        await self.page.get_by_role("button", name="Send").click()

    def listen(self) -> None:
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))


@pytest.fixture
async def visit(tmp_path):
    """Serves a scripted backend, or the real one when none is given, and opens its page."""
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        stack.push_async_callback(browser.close)

        async def opened(backend=None, *, width=1000, scheme="light"):
            manager = await stack.enter_async_context(
                orac_core.open(
                    parse(SCRIPTED if backend else {}, "a test"),
                    models_dir=tmp_path,
                    plugins=plugins(backend) if backend else None,
                    environ={},
                )
            )
            service = await stack.enter_async_context(serving(manager))
            page = await browser.new_page(
                viewport={"width": width, "height": 800}, color_scheme=scheme
            )
            page.set_default_timeout(10_000)
            visit = Visit(page)
            visit.listen()
            await page.goto(service.url)
            await expect(page.locator(".model").first).to_be_visible()
            return visit

        yield opened


async def test_a_model_is_listed_loaded_asked_and_unloaded(visit, tmp_path):
    write(tmp_path, "tiny-phi2")
    visit = await visit()
    model = visit.model("tiny-phi2")
    await expect(model).to_contain_text("207.2 KiB · F16 · phi2")
    await expect(model.locator(".state")).to_have_text("stopped")

    await model.get_by_role("button", name="Load").click()
    await expect(model.locator(".state")).to_have_text("ready")
    await expect(model).to_contain_text("in memory")

    await visit.ask("local/tiny-phi2", "hello")
    await expect(visit.page.locator("#figures")).to_contain_text("tokens/s")
    await expect(visit.page.locator("#answer")).not_to_be_empty()

    await model.get_by_role("button", name="Unload").click()
    await expect(model.locator(".state")).to_have_text("stopped")
    assert visit.complaints == []


async def test_a_load_shows_how_far_it_is(visit):
    backend = ScriptedBackend()
    gate = backend.hold("load")
    visit = await visit(backend)
    model = visit.model("small")
    await model.get_by_role("button").click()
    await expect(model.locator("progress")).to_be_visible()
    await expect(model.locator(".note")).to_contain_text("read")
    gate.set()
    await expect(model.get_by_role("button", name="Unload")).to_be_enabled()
    await expect(model.locator("progress")).to_be_hidden()
    assert visit.complaints == []


async def test_an_answer_is_shown_while_it_is_written(visit):
    backend = ScriptedBackend()
    visit = await visit(backend)
    gate = backend.hold("word 1")
    await visit.ask("fake/small", "hello")
    answer = visit.page.locator("#answer")
    await expect(answer).to_have_text("one two")
    gate.set()
    await expect(answer).to_have_text("one two three")
    await expect(visit.page.locator("#figures")).to_contain_text("3 tokens")
    assert visit.complaints == []


async def test_stop_stops_the_engine(visit):
    backend = ScriptedBackend()
    visit = await visit(backend)
    backend.hold("word 0")
    await visit.ask("fake/small", "hello")
    await expect(visit.page.locator("#answer")).to_have_text("one")
    await visit.page.get_by_role("button", name="Stop").click()
    await expect(visit.page.locator("#figures")).to_have_text("stopped")
    await expect(visit.page.get_by_role("button", name="Send")).to_be_enabled()
    await until(lambda: backend.generating == 0, within_s=2)


async def test_p54_p55_markup_of_models_and_answers_is_shown_as_text(visit):
    backend = ScriptedBackend(ScriptedSettings((MARKUP, "other")), words=(MARKUP, "<b>bold</b>"))
    visit = await visit(backend)
    await expect(visit.model(MARKUP)).to_be_visible()
    await visit.ask(f"fake/{MARKUP}", "hello")
    await expect(visit.page.locator("#answer")).to_have_text(f"{MARKUP}<b>bold</b>")
    assert await visit.page.locator("img, #answer b").count() == 0
    assert visit.complaints == []


async def test_errors_are_told_in_words(visit):
    backend = ScriptedBackend()
    visit = await visit(backend)
    backend.failures["load"] = BackendError("there is <b>no</b> room for small")
    model = visit.model("small")
    await model.get_by_role("button").click()
    await expect(model.locator(".note")).to_have_text("there is <b>no</b> room for small")
    await expect(model.locator(".state")).to_have_text("failed")
    backend.failures.clear()
    backend.failures["first"] = BackendError("the engine stumbled")
    await visit.ask("fake/large", "hello")
    await expect(visit.page.locator("#prompt-error")).to_have_text("the engine stumbled")


async def test_everything_can_be_done_with_the_keyboard(visit):
    visit = await visit(ScriptedBackend())
    keyboard = visit.page.keyboard
    await visit.model("small").get_by_role("button").focus()
    await keyboard.press("Enter")
    await expect(visit.model("small").locator(".state")).to_have_text("ready")
    await visit.page.get_by_label("Text").focus()
    await keyboard.type("hello")
    await keyboard.press("Control+Enter")
    await expect(visit.page.locator("#answer")).to_have_text("one two three")
    assert visit.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_narrow_screen(visit, scheme):
    long = "a-very-long-name-" * 8
    settings = ScriptedSettings((long, "other"))
    visit = await visit(ScriptedBackend(settings), width=360, scheme=scheme)
    await expect(visit.model(long)).to_be_visible()
    assert await visit.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert visit.complaints == []
