"""Measuring, in a real browser."""

import json

import pytest
from playwright.async_api import expect

from orac_core import BackendError, GenerateRequest, LoadRequest, Message, Rates
from tests.browser.visiting import CHROMIUM
from tests.scripted import ScriptedBackend
from tests.waiting import until

USUAL = 37.0

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no chromium is installed"),
]


@pytest.fixture
def backend():
    """Both models are loaded, and answer with 32 words."""
    made = ScriptedBackend(words=("word ",) * 32, rates=Rates(1000.0, USUAL))
    made.loaded = {name: LoadRequest(name) for name in ("small", "large")}
    return made


async def run(visit, model=None):
    """Measure, and wait for the end."""
    if model:
        await visit.page.get_by_label(model).check()
    await visit.page.get_by_label("Rounds").fill("2")
    await visit.page.get_by_label("Prompts of your own").fill("one\ntwo")
    await visit.button("Run").click()


def report(visit):
    return visit.page.get_by_role("region", name="Run of")


async def test_a_run_is_shown_with_its_intervals_and_kept(visit, backend):
    visit = await visit(backend, "benchmark")
    await expect(visit.page.locator("main")).to_contain_text("Nothing was measured yet")
    await run(visit)
    await expect(report(visit).locator("tbody tr")).to_have_count(2)
    row = report(visit).locator("tbody tr").first
    await expect(row).to_contain_text("37.0 tokens/s")
    await expect(row).to_contain_text(" to ")
    await expect(visit.page.get_by_role("region", name="Runs that are kept")).to_contain_text(
        "completed"
    )
    await visit.page.reload()
    await expect(report(visit).locator("tbody tr")).to_have_count(2)


async def test_a_run_says_how_far_it_is_and_is_stopped(visit, backend):
    backend.hold("word 3")
    visit = await visit(backend, "benchmark")
    await run(visit, "fake/small")
    await expect(visit.page.locator(".progress")).to_contain_text("fake/small")
    await visit.button("Stop").click()
    await expect(visit.page.get_by_role("alert")).to_have_text("stopped")
    await until(lambda: backend.generating == 0, within_s=5)


async def test_what_can_not_be_measured_says_why(visit, backend):
    backend.failures["first"] = BackendError("the engine <b>stumbled</b>")
    visit = await visit(backend, "benchmark")
    await run(visit, "fake/small")
    await expect(report(visit).locator("td.error")).to_contain_text("the engine <b>stumbled</b>")


async def test_what_is_refused_is_told_in_the_words_of_the_server(visit, backend):
    backend.loaded.clear()
    visit = await visit(backend, "benchmark", refusals=True)
    await run(visit)
    await expect(visit.page.get_by_role("alert").first).to_contain_text("loaded")


async def test_two_runs_are_compared_and_drawn_over_time(visit, backend):
    visit = await visit(backend, "benchmark")
    await run(visit, "fake/small")
    await expect(report(visit)).to_be_visible()
    backend.rates = Rates(1000.0, USUAL / 2)
    await visit.button("Run").click()
    compared = visit.page.get_by_role("region", name="Compare two runs")
    await expect(compared.locator("tbody tr").first).to_contain_text("fake/small")
    await expect(compared).to_contain_text("\N{MINUS SIGN}50.0 %")
    course = visit.page.get_by_role("region", name="Over time")
    await expect(course).to_contain_text("2 runs, the newest 18.5 tokens/s")
    await expect(course.locator("canvas")).to_have_count(1)


async def test_a_run_is_saved_as_a_file(visit, backend):
    visit = await visit(backend, "benchmark")
    await run(visit, "fake/small")
    await expect(report(visit)).to_be_visible()
    for form, begins in (("CSV", "benchmark,model"), ("JSON", "{"), ("HTML", "<!doctype html>")):
        async with visit.page.expect_download() as saving:
            await report(visit).get_by_role("button", name=form, exact=True).click()
        saved = await saving.value
        text = (await saved.path()).read_text()
        assert text.startswith(begins)
        assert saved.suggested_filename.endswith(f".{form.lower()}")
        if form == "JSON":
            assert len(json.loads(text)["samples"]) > 0


async def answer(visit, backend, rate, times):
    backend.rates = Rates(decode_tokens_per_second=rate)
    for _ in range(times):
        await visit.manager.answer(GenerateRequest("small", (Message("user", "hi"),)))


async def test_a_model_that_became_slow_is_told_with_cause_and_remedy(visit, backend):
    manifest = {
        "backends": {"fake": {"kind": "scripted"}},
        "models": {"canaries": False},
    }
    visit = await visit(backend, "benchmark", manifest=manifest)
    await reload(visit, backend, 1.0)
    await answer(visit, backend, USUAL, 6)
    await reload(visit, backend, 0.3)
    await answer(visit, backend, USUAL / 4, 6)
    slow = visit.page.get_by_role("region", name="Has a model become slow?")
    await expect(slow.get_by_role("heading", name="fake/small")).to_be_visible()
    await expect(slow.locator(".findings li").first).to_contain_text("likely")
    await expect(slow.locator(".findings")).to_contain_text("To do: ")
    await expect(visit.page.locator("header")).to_contain_text("degraded")
    await visit.button("Examine fake/small").click()
    await expect(slow.get_by_role("status").first).to_contain_text("tokens/s")


async def reload(visit, backend, on_gpu_ratio):
    backend.on_gpu_ratio = on_gpu_ratio
    await visit.manager.unload("small")
    await visit.manager.load(LoadRequest("small"))
