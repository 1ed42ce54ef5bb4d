"""A report as a file, in a real browser."""

import pytest
from attrs import evolve
from playwright.async_api import expect

from orac_core.benchmark.exports import report_page
from tests.browser.visiting import CHROMIUM
from tests.core.benchmark.reports import broken, report

MARKUP = "local/<img src=x onerror=alert(1)>-" + "long-name-" * 12

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no chromium is installed"),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1000])
async def test_a_report_opens_from_the_disk_and_runs_nothing(browser, tmp_path, scheme, width):
    whole = report({"local/a": [40, 41, 42], MARKUP: [20, 21, 22]})
    whole = evolve(whole, results=(*whole.results, broken()))
    file, complaints = tmp_path / "report.html", []
    file.write_text(report_page(whole))
    page = await browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    async with page:
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        await page.goto(file.as_uri())
        await expect(page.locator("figure svg")).to_have_count(4)
        await expect(page.locator("img")).to_have_count(0)
        shade = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert shade == {"light": "rgb(245, 246, 248)", "dark": "rgb(15, 19, 24)"}[scheme]
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
