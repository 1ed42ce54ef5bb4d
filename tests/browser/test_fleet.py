"""Boxes behind a front, in a real browser: their models are listed, loaded and unloaded there."""

import pytest
from playwright.async_api import expect

from tests.boxes import ADMIN, TOKENS, Box, front, python_models, running
from tests.browser.visiting import CHROMIUM

SEEN_WITHIN_MS = 30_000
"""The page looks anew every 10 s."""

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no chromium is installed"),
]


@pytest.fixture
def boxes(tmp_path):
    return [Box(tmp_path / name, python_models(words={}), TOKENS) for name in ("one", "two")]


@pytest.fixture
def manifest(boxes, tmp_path):
    (tmp_path / "admin").write_text(ADMIN)
    return front(*boxes, key_file=str(tmp_path / "admin"))


async def test_models_of_boxes_are_loaded_and_unloaded_and_a_box_that_is_gone_is_told(
    visit, boxes, manifest
):
    async with running(*boxes):
        visit = await visit(manifest=manifest, refusals=True)
        first, second = (visit.model(f"{name}/words") for name in ("box1", "box2"))
        for model in (first, second):
            await expect(model.locator(".state")).to_contain_text("stopped")
        await visit.button("Load box2/words").click()
        await expect(second.locator(".state")).to_contain_text("ready")
        await expect(first.locator(".state")).to_contain_text("stopped")
        await visit.button("Load box1/words").click()
        await expect(first.locator(".state")).to_contain_text("ready")
        await visit.button("Unload box2/words").click()
        await expect(second.locator(".state")).to_contain_text("stopped")

        await boxes[0].kill()
        trouble = visit.page.get_by_text("box1 can not be used: ")
        await expect(trouble).to_be_visible(timeout=SEEN_WITHIN_MS)
        await expect(trouble).to_contain_text(boxes[0].url)
        await expect(first).to_have_count(0, timeout=SEEN_WITHIN_MS)
        await expect(second).to_be_visible()
        await visit.look("Health")
        instances = visit.page.get_by_role("region", name="Instances")
        await expect(instances.get_by_role("row", name="box1")).to_contain_text("broken")
        await expect(instances.get_by_role("row", name="box2")).to_contain_text("usable")

        await boxes[0].start()
        await visit.look("Models")
        await expect(trouble).to_have_count(0, timeout=SEEN_WITHIN_MS)
        await expect(first.locator(".state")).to_contain_text("stopped", timeout=SEEN_WITHIN_MS)


async def test_where_no_box_answers_it_is_told_and_no_file_is_asked_for(visit, manifest):
    visit = await visit(manifest=manifest, refusals=True)
    for name in ("box1", "box2"):
        await expect(visit.page.get_by_text(f"{name} can not be used: ")).to_be_visible()
    await expect(visit.page.get_by_text("No models found")).to_have_count(0)
