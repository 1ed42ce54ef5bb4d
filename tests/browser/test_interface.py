"""The page that shows the interface, in a real browser."""

import json
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from attrs import define, field
from playwright.async_api import Page, async_playwright, expect

import orac_core
from orac_core.manifest import parse
from tests.scripted import ScriptedBackend, plugins
from tests.server.serving import service as serving

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
SCRIPTED = {"backends": {"fake": {"kind": "scripted"}}}

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="no chromium is installed")


@define(eq=False)
class Visit:
    """A page that is open, what it asked for, and what its console complained of."""

    page: Page
    asked: list[str] = field(factory=list)
    complaints: list[str] = field(factory=list)


@pytest.fixture
async def visit(tmp_path):
    """Serves a scripted backend, and opens the page."""
    async with AsyncExitStack() as stack:
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        stack.push_async_callback(browser.close)
        opening = orac_core.open(
            parse(SCRIPTED, "a test"),
            models_dir=tmp_path,
            plugins=plugins(ScriptedBackend()),
            environ={},
        )
        service = await stack.enter_async_context(serving(await stack.enter_async_context(opening)))
        page = await browser.new_page(viewport={"width": 1200, "height": 900})
        page.set_default_timeout(30_000)
        visit = Visit(page)
        page.on("request", lambda request: visit.asked.append(request.url))
        page.on("console", lambda message: visit.complaints.append(message.text))
        page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        await page.goto(f"{service.url}docs")
        await expect(page.locator(".opblock").first).to_be_visible(timeout=30_000)
        yield visit


async def test_every_operation_is_shown_and_nothing_comes_from_elsewhere(visit):
    page = visit.page
    document = await page.evaluate("fetch('openapi.json').then(found => found.json())")
    operations = [method for path in document["paths"].values() for method in path]
    await expect(page.locator(".opblock")).to_have_count(len(operations))
    hosts = {urlsplit(url).netloc for url in visit.asked} - {""}
    assert hosts == {urlsplit(page.url).netloc}
    assert visit.complaints == []


async def test_an_operation_can_be_tried_out_with_a_token(visit):
    page = visit.page
    await authorize(page, "a-token-of-a-user")
    block = page.locator("#operations-prompts-prompt")
    await block.locator(".opblock-summary-control").click()
    await block.get_by_role("button", name="Try it out").click()
    body = {"model": "small", "prompt": "hello"}
    await block.locator("textarea.body-param__text").fill(json.dumps(body))
    async with page.expect_response("**/v1/prompt") as answered:
        await block.get_by_role("button", name="Execute").click()
    response = await answered.value
    assert response.status == 200
    assert await response.request.header_value("authorization") == "Bearer a-token-of-a-user"
    await expect(block.locator(".live-responses-table")).to_contain_text("one two three")
    assert visit.complaints == []


async def authorize(page, token):
    await page.get_by_role("button", name="Authorize").first.click()
    dialog = page.locator(".modal-ux")
    await dialog.get_by_label("auth-bearer-value").fill(token)
    await dialog.get_by_role("button", name="Apply credentials").first.click()
    await dialog.get_by_role("button", name="Close").first.click()
