"""The models, in a real browser."""

import pytest
from playwright.async_api import expect

from orac_core import BackendError, LoadRequest, Rates
from orac_core.testing import FakeDevice
from tests.browser.visiting import CHROMIUM
from tests.scripted import ScriptedBackend, ScriptedSettings
from tests.tiny_adapters import write_adapter
from tests.tiny_models import write

GIB = 1 << 30
MARKUP = "<img src=x onerror=alert(1)>"

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no chromium is installed"),
]


async def test_a_model_is_listed_loaded_asked_and_unloaded(visit, tmp_path):
    write(tmp_path, "tiny-phi2")
    visit = await visit()
    model = visit.model("local/tiny-phi2")
    await expect(model).to_contain_text("207.2 KiB")
    await expect(model).to_contain_text("F16")
    await expect(model.locator(".state")).to_contain_text("stopped")
    await expect(model.locator(".fits")).to_contain_text("fits")

    await visit.button("Load tiny-phi2").click()
    await expect(model.locator(".state")).to_contain_text("ready")
    await expect(model).to_contain_text("taken")

    await visit.page.get_by_role("link", name="Try tiny-phi2").click()
    await visit.ask("local/tiny-phi2", "hello")
    await expect(visit.page.locator(".figures")).to_contain_text("tokens/s")
    await expect(visit.page.locator(".answer .text")).not_to_be_empty()

    await visit.look("Models")
    await visit.button("Unload tiny-phi2").click()
    await expect(model.locator(".state")).to_contain_text("stopped")


async def test_a_load_shows_how_far_it_is_whoever_asked_for_it(visit):
    backend = ScriptedBackend()
    gate = backend.hold("load")
    visit = await visit(backend)
    model = visit.model("fake/small")
    await visit.button("Load small").click()
    await expect(model.locator("progress")).to_be_visible()
    await expect(model.locator(".progress")).to_contain_text("read")
    await expect(visit.button("Load small")).to_be_disabled()
    gate.set()
    await expect(visit.button("Unload small")).to_be_enabled()
    await expect(model.locator("progress")).to_have_count(0)

    await visit.manager.load(LoadRequest("large"))
    await expect(visit.model("fake/large").locator(".state")).to_contain_text("ready")


async def test_a_load_that_fails_says_why_in_the_words_of_the_server(visit):
    backend = ScriptedBackend()
    backend.failures["load"] = BackendError("there is <b>no</b> room for small")
    visit = await visit(backend, refusals=True)
    await visit.button("Load small").click()
    model = visit.model("fake/small")
    await expect(model.locator(".note")).to_have_text("there is <b>no</b> room for small")
    await expect(model.locator(".state")).to_contain_text("failed")


async def test_p54_markup_in_the_name_of_a_model_is_shown_as_text(visit):
    visit = await visit(ScriptedBackend(ScriptedSettings((MARKUP, "other"))))
    await expect(visit.button(f"Load {MARKUP}")).to_be_visible()
    await visit.button(f"Load {MARKUP}").click()
    await expect(visit.button(f"Unload {MARKUP}")).to_be_visible()
    for view in ("Overview", "Try", "Benchmark", "Health"):
        await visit.look(view)
        await expect(visit.page.locator("main")).to_contain_text(MARKUP)
    assert await visit.page.locator("img").count() == 0


async def test_it_says_what_fits_and_what_would_have_to_go(visit):
    backend = ScriptedBackend(
        ScriptedSettings(("small", "large", "huge")),
        sizes={"small": 1 * GIB, "large": 3 * GIB, "huge": 30 * GIB},
    )
    sensors = FakeDevice(total_bytes=int(4.2 * GIB), taken_bytes=lambda: backend.taken_bytes)
    visit = await visit(backend, sensors=sensors)
    fits = visit.page.locator(".fits")
    await expect(visit.model("fake/small").locator(".fits")).to_have_text("✓ fits")
    await expect(visit.model("fake/huge").locator(".fits")).to_have_text("✕ does not fit")
    await visit.button("Load large").click()
    await expect(visit.model("fake/small").locator(".fits")).to_have_text(
        "▲ fits without fake/large"
    )
    await expect(fits).to_have_count(2)


async def test_a_model_is_pinned_and_unpinned(visit):
    visit = await visit(ScriptedBackend())
    await visit.button("Load small").click()
    await visit.button("Pin small").click()
    await expect(visit.model("fake/small")).to_contain_text("pinned")
    assert (await visit.manager.find("small")).pinned
    await visit.button("Unpin small").click()
    await expect(visit.button("Pin small")).to_be_visible()
    assert not (await visit.manager.find("small")).pinned


async def test_what_the_manifest_pins_stays_pinned_and_the_page_says_why(visit):
    manifest = {
        "backends": {"fake": {"kind": "scripted"}},
        "models": {"files": {"small": {"pinned": True}}},
    }
    visit = await visit(ScriptedBackend(), manifest=manifest, refusals=True)
    await visit.button("Load small").click()
    await visit.button("Unpin small").click()
    await expect(visit.model("fake/small").locator(".note")).to_contain_text("by the manifest")


async def test_the_speed_of_a_model_is_drawn_as_it_answers(visit):
    backend = ScriptedBackend(rates=Rates(decode_tokens_per_second=42.0))
    visit = await visit(backend)
    await visit.button("Load small").click()
    await expect(visit.button("Unload small")).to_be_visible()
    await visit.look("Try")
    await visit.ask("fake/small", "hello")
    await expect(visit.page.locator(".figures")).to_contain_text("42.0 tokens/s")
    await visit.look("Models")
    await expect(visit.model("fake/small")).to_contain_text("42.0 tokens/s")
    await expect(visit.model("fake/small").locator("svg")).to_have_count(1)


async def test_models_are_filtered_and_sorted(visit):
    names = tuple(f"model-{number:03}" for number in range(60))
    sizes = {name: (100 - number) << 20 for number, name in enumerate(names)}
    visit = await visit(ScriptedBackend(ScriptedSettings(names), sizes=sizes))
    rows, status = visit.page.locator("tr.model"), visit.page.locator(".filter [role=status]")
    await expect(status).to_have_text("60 models")
    await visit.button("Size").click()
    await expect(rows.first).to_contain_text("model-059")
    await visit.button("Size").click()
    await expect(rows.first).to_contain_text("model-000")
    assert await visit.page.locator("th[aria-sort=descending]").inner_text() == "Size ↓"
    await visit.page.locator("main").press("/")
    await visit.page.keyboard.type("MODEL-04 scripted")
    await expect(status).to_have_text("10 of 60 models")
    await expect(rows).to_have_count(10)
    await visit.page.get_by_label("State").select_option("ready")
    await expect(status).to_have_text("0 of 60 models")


async def test_rows_come_as_one_reads_on(visit):
    names = tuple(f"model-{number:03}" for number in range(60))
    visit = await visit(ScriptedBackend(ScriptedSettings(names)))
    rows = visit.page.locator("tr.model")
    await expect(rows.nth(10)).to_be_visible()
    assert await rows.count() < 40
    for reached in (31, 43, 55, 59):
        await visit.page.evaluate("scrollTo(0, document.body.scrollHeight)")
        await expect(rows.nth(reached)).to_be_visible()
    await expect(visit.page.locator("tr.model")).to_have_count(60)
    await expect(visit.page.get_by_text("Show more")).to_have_count(0)


async def test_all_of_it_is_done_with_the_keyboard(visit):
    visit = await visit(ScriptedBackend())
    keyboard = visit.page.keyboard
    await visit.button("Load small").focus()
    await keyboard.press("Enter")
    await expect(visit.model("fake/small").locator(".state")).to_contain_text("ready")
    await visit.page.get_by_role("button", name="small", exact=True).focus()
    await keyboard.press("ArrowDown")
    await expect(visit.page.get_by_role("button", name="large", exact=True)).to_be_focused()
    await keyboard.press("Space")
    await expect(visit.page.locator("tr.more")).to_contain_text("Architecture")
    await keyboard.press("ArrowUp")
    await expect(visit.page.get_by_role("button", name="small", exact=True)).to_be_focused()


async def test_without_models_it_says_where_to_put_one(visit):
    visit = await visit(ScriptedBackend(ScriptedSettings(())))
    await expect(visit.page.locator("main")).to_contain_text("No models found")


async def test_the_adapters_of_a_model_are_told_and_what_is_wrong_with_one(visit, tmp_path):
    write(tmp_path, "tiny-qwen3-0.6b")
    write_adapter(tmp_path / "adapters" / "robot.gguf")
    write_adapter(tmp_path / "adapters" / "arm.gguf", architecture="llama")
    worn = [{"path": "robot", "scale": 0.5}, {"path": "arm"}]
    settings = {
        "adapters": str(tmp_path / "adapters"),
        "files": {"tiny-qwen3-0.6b": {"adapters": worn}},
    }
    visit = await visit(manifest={"models": settings})
    await visit.button("tiny-qwen3-0.6b").click()
    facts = visit.page.locator("tr.more")
    await expect(facts).to_contain_text(
        "Adaptersrobot.gguf (scale 0.5), arm ▲ arm.gguf: it is made"
    )
