"""What all views have in common, in a real browser."""

import asyncio
import re
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest
from playwright.async_api import expect

import orac_core
from orac_core import BackendError
from orac_core.devices import Gpu, Machine, Memory
from orac_core.manifest import parse
from tests.browser.visiting import CHROMIUM, SCRIPTED, served
from tests.scripted import NoSensors, ScriptedBackend, ScriptedSettings, plugins

VIEWS = ["Overview", "Models", "Try", "Benchmark", "Health"]

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no chromium is installed"),
]


async def test_every_view_has_an_address_and_a_title_and_takes_the_focus(visit):
    visit = await visit(ScriptedBackend(), "")
    await expect(visit.page).to_have_title("Overview · ORAC")
    for view in VIEWS[1:]:
        await visit.look(view)
        await expect(visit.page).to_have_title(f"{view} · ORAC")
        await expect(visit.page.locator("main")).to_be_focused()
        assert visit.page.url.endswith(f"#/{view.lower()}")
    await visit.page.go_back()
    await expect(visit.page).to_have_title("Benchmark · ORAC")


async def test_what_the_machine_does_not_tell_is_said_and_is_not_0(visit):
    visit = await visit(ScriptedBackend(), "overview", sensors=NoSensors())
    main = visit.page.locator("main")
    await expect(main).to_contain_text("This machine does not tell how much memory it has")
    await expect(main).to_contain_text("Not told by this machine: Device, Power mode, GPU")
    await expect(main.locator("dd").first).to_have_text("not told")
    known = main.locator(
        "dl.facts > div", has_not_text="CPU load"
    )  # the kernel of this one tells it
    await expect(known.locator("dd", has_text="0")).to_have_count(0)


async def test_the_overview_tells_why_all_is_not_well(visit):
    backend = ScriptedBackend()
    backend.down = True
    visit = await visit(backend, "overview", refusals=True)
    await expect(visit.page.get_by_role("heading", level=2).first).to_contain_text("unhealthy")
    await expect(visit.page.locator(".flaws")).to_contain_text("fake")


async def test_the_memory_that_each_model_has_is_shown(visit):
    backend = ScriptedBackend(sizes={"small": 3 << 30})
    visit = await visit(backend, "overview")
    await visit.manager.load(orac_core.LoadRequest("small"))
    await expect(visit.page.locator(".legend")).to_contain_text("fake/small 3 GiB")
    bar = visit.page.get_by_role("img", name="Memory,")
    await expect(bar).to_have_attribute("aria-label", re.compile("fake/small 3 GiB"))
    await expect(visit.page.locator("figure").first).to_contain_text("now,")


class Separate(NoSensors):
    """A machine whose GPU has memory of its own, of which half is used."""

    async def look(self):
        return Machine(
            Memory(16 << 30, 8 << 30, 4 << 30, 4 << 30, unified=False),
            Gpu("RTX", memory_total_bytes=8 << 30, memory_used_bytes=4 << 30, load_ratio=0.0),
        )


async def test_a_gpu_with_memory_of_its_own_has_a_bar_of_its_own(visit):
    backend = ScriptedBackend(sizes={"small": 3 << 30}, on_gpu_ratio=1.0)
    visit = await visit(backend, "overview", sensors=Separate())
    await visit.manager.load(orac_core.LoadRequest("small"))
    bar = visit.page.get_by_role("img", name="GPU memory,")
    shown = "GPU memory, 8 GiB: fake/small 3 GiB, other programs 1 GiB, free 4 GiB"
    await expect(bar).to_have_attribute("aria-label", shown)
    await expect(visit.page.locator("main")).to_contain_text("the GPU has its own")
    await expect(visit.page.locator("dd", has_text="0 %").first).to_be_visible()


class Silent(NoSensors):
    """A machine of which nothing comes by itself."""

    async def sample(self):
        await asyncio.Event().wait()


async def test_a_page_that_hears_nothing_says_that_it_is_not_up_to_date(visit):
    visit = await visit(ScriptedBackend(), sensors=Silent())
    link = visit.page.locator(".link")
    await expect(link).to_have_text("● live")
    await visit.page.evaluate("const real = Date.now; Date.now = () => real() + 20000")
    await expect(link).to_contain_text("not up to date")
    await visit.manager.load(orac_core.LoadRequest("small"))
    await expect(link).to_have_text("● live")


async def test_a_page_comes_back_by_itself_when_the_server_was_away(browser):
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        manager = await first.enter_async_context(opening(ScriptedBackend()))
        address = await first.enter_async_context(served(manager))
        page = await browser.new_page()
        second.push_async_callback(page.close)
        await page.goto(f"{address}#/models")
        link = page.locator(".link")
        await expect(link).to_have_text("● live")
        await first.aclose()
        await expect(link).to_contain_text("not connected")
        await expect(link).to_contain_text("what is shown is from")
        await expect(page.locator("tr.model")).to_have_count(2)
        backend = ScriptedBackend(ScriptedSettings(("other",)))
        manager = await second.enter_async_context(opening(backend))
        await second.enter_async_context(served(manager, urlsplit(address).port))
        await expect(link).to_have_text("● live", timeout=15_000)
        await expect(page.locator("tr.model")).to_have_count(1)
        await expect(page.locator("tr.model")).to_contain_text("other")


def opening(backend):
    return orac_core.open(parse(SCRIPTED, "a test"), plugins=plugins(backend), environ={})


TOKENS = {"ORAC_ADMIN_TOKEN": "an-administrators-token", "ORAC_USER_TOKEN": "a-token-of-a-user"}


async def give(visit, token):
    await visit.page.get_by_role("textbox", name="Token").fill(token)
    await visit.button("Use this token").click()


async def test_a_token_is_asked_for_and_kept_in_this_tab_only(visit):
    visit = await visit(ScriptedBackend(), tokens=TOKENS, refusals=True)
    dialog = visit.page.get_by_role("dialog")
    await expect(dialog).to_contain_text("a token is needed")
    await give(visit, "a-token-that-is-none")
    await expect(dialog).to_be_visible()
    await give(visit, TOKENS["ORAC_ADMIN_TOKEN"])
    await expect(visit.model("fake/small")).to_be_visible()
    await expect(visit.page.locator(".link")).to_contain_text("live")
    await visit.button("Load small").click()
    await expect(visit.model("fake/small").locator(".state")).to_contain_text("ready")
    kept = "[JSON.stringify(localStorage), document.cookie, location.href].join()"
    assert "token" not in await visit.page.evaluate(kept)
    await visit.page.reload()
    await expect(visit.model("fake/small")).to_be_visible()
    elsewhere = await visit.page.context.new_page()
    await elsewhere.goto(f"{visit.address}#/models")
    await expect(elsewhere.get_by_role("dialog")).to_be_visible()


DRAWN_AND_CHANGED = """async () => {
    const { html, render } = await import("/dashboard/vendor/preact.js");
    const { store, useStore } = await import("/dashboard/store.js");
    const place = document.body.appendChild(document.createElement("p"));
    place.id = "drawn";
    const Drawn = () => html`${useStore((state) => state.drawn ?? "before")}`;
    render(html`<${Drawn} />`, place);
    store.set({ drawn: "after" });
}"""


async def test_what_changes_while_the_page_is_being_drawn_is_drawn_too(visit):
    visit = await visit(ScriptedBackend(), tokens=TOKENS, refusals=True)
    await expect(visit.page.get_by_role("dialog")).to_be_visible()  # from now on nothing changes
    await visit.page.evaluate(DRAWN_AND_CHANGED)
    await expect(visit.page.locator("#drawn")).to_have_text("after")


async def test_what_a_token_of_a_user_is_not_enough_for_says_so_and_another_is_taken(visit):
    visit = await visit(ScriptedBackend(), tokens=TOKENS, refusals=True)
    await give(visit, TOKENS["ORAC_USER_TOKEN"])
    await visit.button("Load small").click()
    note = visit.model("fake/small").locator(".note")
    await expect(note).to_contain_text("takes the token of an administrator")
    await visit.button("Change the token").click()
    await give(visit, TOKENS["ORAC_ADMIN_TOKEN"])
    await visit.button("Load small").click()
    await expect(visit.model("fake/small").locator(".state")).to_contain_text("ready")


async def test_without_a_token_the_page_says_so_and_asks_no_more(visit):
    visit = await visit(ScriptedBackend(), tokens=TOKENS, refusals=True)
    await visit.button("Not now").click()
    await expect(visit.page.get_by_role("dialog")).to_have_count(0)
    await expect(visit.page.locator(".link")).to_contain_text("a token is needed")
    await visit.button("Enter a token").click()
    await expect(visit.page.get_by_role("dialog")).to_be_visible()


async def test_the_colours_follow_the_system_or_a_choice_that_is_kept(visit):
    visit = await visit(ScriptedBackend(), "overview", scheme="dark")
    shade = "getComputedStyle(document.body).backgroundColor"
    assert await visit.page.evaluate(shade) == "rgb(15, 19, 24)"
    await visit.page.get_by_label("Colours").select_option("light")
    assert await visit.page.evaluate(shade) == "rgb(245, 246, 248)"
    await visit.page.reload()
    await expect(visit.page.locator("nav")).to_be_visible()
    assert await visit.page.evaluate(shade) == "rgb(245, 246, 248)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_narrow_screen(visit, scheme):
    long = "a-very-long-name-" * 8
    backend = ScriptedBackend(ScriptedSettings((long, "other")))
    backend.failures["load"] = BackendError("no-room-" * 30)
    visit = await visit(backend, width=360, scheme=scheme, refusals=True)
    await visit.button(f"Load {long}").click()
    await expect(visit.model(f"fake/{long}").locator(".note")).to_contain_text("no-room")
    for view in VIEWS:
        await visit.look(view)
        await expect(visit.page.locator("main > *").first).to_be_visible()
        width = await visit.page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360, f"{view} is {width} wide"
