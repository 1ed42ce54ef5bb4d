"""Whether all is well, in a real browser."""

import json

import pytest
from playwright.async_api import expect

from orac_core import LoadRequest
from tests.browser.visiting import CHROMIUM
from tests.scripted import ScriptedBackend, plugins

MARKUP = "<img src=x onerror=alert(1)>"

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no chromium is installed"),
]


async def test_a_broken_backend_and_a_broken_plugin_are_told_with_their_reason(visit):
    backend = ScriptedBackend()
    backend.down = True
    found = plugins(backend)
    found.broken["stranger 1.0"] = f"it does not import: {MARKUP}"
    visit = await visit(backend, "health", plugins=found, refusals=True)
    instances = visit.page.get_by_role("region", name="Instances")
    await expect(instances).to_contain_text("broken")
    await expect(instances).to_contain_text("down")
    await expect(visit.page.get_by_role("region", name="Plugins", exact=True)).to_contain_text(
        MARKUP
    )
    await expect(visit.page.get_by_role("heading", level=2).first).to_contain_text("unhealthy")


async def test_a_backend_that_comes_back_is_seen_without_a_reload(visit):
    backend = ScriptedBackend()
    backend.down = True
    visit = await visit(backend, "health", refusals=True)
    await expect(visit.page.locator("header .state")).to_contain_text("unhealthy")
    backend.down = False
    await expect(visit.page.locator("header .state")).to_have_text("● healthy", timeout=20_000)


async def test_what_happens_is_listed(visit):
    visit = await visit(ScriptedBackend(), "health")
    await expect(visit.page.locator(".link")).to_contain_text("live")
    await visit.manager.load(LoadRequest("small"))
    log = visit.page.get_by_role("log", name="What happened")
    await expect(log).to_contain_text("fake/small went from starting to ready")


async def test_diagnostics_are_copied_and_saved_and_the_log_shown(visit):
    visit = await visit(ScriptedBackend(), "health")
    await visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await visit.button("Copy diagnostics").click()
    await expect(visit.page.get_by_text("copied")).to_be_visible()
    copied = json.loads(await visit.page.evaluate("navigator.clipboard.readText()"))
    assert copied["health"]["status"] == "healthy"
    async with visit.page.expect_download() as saving:
        await visit.button("Save diagnostics").click()
    assert (await saving.value).suggested_filename == "orac-diagnostics.json"
    await visit.button("Show the log of the last minutes").click()
    await expect(visit.page.get_by_text("No log is kept")).to_be_visible()
