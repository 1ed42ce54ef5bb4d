"""Whether all is well, in a real browser."""

import json

import pytest
from playwright.async_api import expect

from orac_core import BackendUnavailable, GenerateRequest, LoadRequest, Message
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


TALK = {
    "backends": {"first": {"kind": "scripted"}, "second": {"kind": "scripted"}},
    "server": {"breaker_failures": 2},
    "profiles": {
        "default": {
            "models": {
                "talk": {"name": "small", "provider": "first"},
                "see": {"name": "llava", "provider": "nobody"},
            },
            "fallbacks": {"talk": ["second/large"]},
        }
    },
}


async def test_a_role_that_falls_back_is_told_with_why_and_who_is_spared(visit):
    first, second = ScriptedBackend(), ScriptedBackend()
    first.failures["first"] = BackendUnavailable("connection refused")
    visit = await visit(first, "health", manifest=TALK, plugins=plugins(first, second))
    await expect(visit.page.locator(".link")).to_contain_text("live")
    roles = visit.page.get_by_role("region", name="Roles of the profile")
    talk = roles.get_by_role("row", name="talk")
    await expect(talk).to_contain_text("first/smallsecond/largefirst/small")
    flaws = visit.page.get_by_role("region", name="degraded")
    await expect(flaws).to_contain_text("see roles skipped")
    for name in ("first/small", "second/large"):
        await visit.manager.load(LoadRequest(name))
    first.down = True
    for _ in range(2):
        request = GenerateRequest("talk", messages=(Message("user", "hi"),))
        assert (await visit.manager.answer(request)).served_by_fallback
    log = visit.page.get_by_role("log", name="What happened")
    passed_on = "talk: first/small did not answer (BackendUnavailable), second/large is asked"
    await expect(log).to_contain_text(passed_on)
    await expect(log).to_contain_text("in place of the first model of talk")
    await expect(log).to_contain_text("first is spared: it could not be reached")
    instances = visit.page.get_by_role("region", name="Instances")
    await expect(instances.get_by_role("row", name="first")).to_contain_text("spared since")


async def test_whoever_may_not_see_the_roles_is_told_so(visit):
    tokens = {"ORAC_ADMIN_TOKEN": "an-administrators-token", "ORAC_USER_TOKEN": "a-token-of-a-user"}
    visit = await visit(ScriptedBackend(), "health", tokens=tokens, refusals=True)
    await visit.page.get_by_role("textbox", name="Token").fill("a-token-of-a-user")
    await visit.button("Use this token").click()
    await expect(visit.page.get_by_role("region", name="Roles", exact=True)).to_contain_text(
        "Not told"
    )
