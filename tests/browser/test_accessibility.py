"""What axe-core has against the views: nothing serious."""

from pathlib import Path

import pytest
from playwright.async_api import expect

import orac_core
from orac_core import BackendError, GenerateRequest, Message, Rates
from orac_core.benchmark import BenchmarkRequest, Benchmarks
from tests.browser.visiting import CHROMIUM
from tests.scripted import ScriptedBackend, ScriptedSettings

AXE = (Path(__file__).parent / "vendor" / "axe.js").read_text()
VIEWS = ["Overview", "Models", "Try", "Benchmark", "Health"]

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no chromium is installed"),
]


async def found(page):
    """Return what is serious or critical, with the elements that it is about."""
    result = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        (each["id"], [node["html"] for node in each["nodes"]])
        for each in result["violations"]
        if each["impact"] in {"serious", "critical"}
    ]


async def lived_in(manager):
    """Let something of every kind be on the page."""
    await manager.load(orac_core.LoadRequest("small"))
    with pytest.raises(BackendError):
        await manager.load(orac_core.LoadRequest("broken"))
    await manager.answer(GenerateRequest("small", (Message("user", "hi"),)))
    async with Benchmarks.of(manager) as benchmarks:
        for _ in range(2):
            request = BenchmarkRequest.of(benchmarks.settings, models=("small",), rounds=1)
            async for _ in benchmarks.run(request):
                pass


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious_in_any_view(visit, scheme):
    backend = ScriptedBackend(
        ScriptedSettings(("small", "large", "broken")),
        words=("# Title\n\n", "`code` and [a link](https://192.0.2.1/)\n"),
        rates=Rates(100.0, 40.0),
        sizes={"small": 1 << 30},
    )
    visit = await visit(backend, "overview", scheme=scheme)
    backend.failures["load"] = BackendError("no room for it")
    backend.loaded["small"] = orac_core.LoadRequest("small")
    await lived_in(visit.manager)
    await visit.page.evaluate(AXE)
    for view in VIEWS:
        await visit.look(view)
        await expect(visit.page.locator(".card, table").first).to_be_visible()
        if view == "Try":
            await visit.ask("fake/small", "hello")
            await expect(visit.page.locator(".answer h1")).to_be_visible()
        assert await found(visit.page) == [], view


async def test_axe_finds_nothing_serious_in_the_field_for_a_token(visit):
    visit = await visit(
        ScriptedBackend(), tokens={"ORAC_ADMIN_TOKEN": "an-administrators-token"}, refusals=True
    )
    await expect(visit.page.get_by_role("dialog")).to_be_visible()
    await visit.page.evaluate(AXE)
    assert await found(visit.page) == []


async def test_who_wants_less_motion_gets_none(visit):
    visit = await visit(ScriptedBackend())
    await visit.page.emulate_media(reduced_motion="reduce")
    moving = "getComputedStyle(document.querySelector('td button')).transitionDuration"
    await expect(visit.button("Load small")).to_be_visible()
    assert await visit.page.evaluate(moving) == "0s"
