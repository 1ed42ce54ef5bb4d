"""Asking a model, in a real browser."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE

import pytest
from playwright.async_api import expect

from orac_core import BackendError
from tests.browser.visiting import CHROMIUM
from tests.scripted import ScriptedBackend
from tests.waiting import until

MARKUP = "<img src=x onerror=alert(1)>"
ESCAPES = (
    "# A title\n\n[bad](javascript:alert(1)) [data](data:text/html,<script>alert(1)</script>) ",
    "![out](http://192.0.2.1/x.png) <iframe src=//192.0.2.1></iframe>",
    "<svg onload=alert(1)> <style>*{display:none}</style> <form action=//192.0.2.1> ",
    "[good](https://192.0.2.1/page) **bold**\n\n```html\n<script>alert(1)</script>\n```\n",
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no chromium is installed"),
]


async def test_an_answer_is_shown_while_it_is_written(visit):
    backend = ScriptedBackend()
    visit = await visit(backend, "try")
    gate = backend.hold("word 1")
    await visit.ask("fake/small", "hello")
    answer = visit.page.locator(".answer .text")
    await expect(answer).to_have_text("one two")
    await expect(visit.page.locator(".figures")).to_contain_text("first token after")
    gate.set()
    await expect(answer).to_have_text("one two three")
    await expect(visit.page.locator(".figures")).to_contain_text("3 tokens")


@pytest.mark.parametrize("how", ["button", "key", "view"])
async def test_stop_stops_the_engine(visit, how):
    backend = ScriptedBackend()
    visit = await visit(backend, "try")
    backend.hold("word 0")
    await visit.ask("fake/small", "hello")
    await expect(visit.page.locator(".answer .text")).to_have_text("one")
    if how == "view":
        await visit.look("Health")
    else:
        stop = visit.button("Stop")
        await (stop.click() if how == "button" else stop.press("Escape"))
        await expect(visit.page.locator(".figures")).to_have_text("stopped")
        await expect(visit.button("Send")).to_be_enabled()
    await until(lambda: backend.generating == 0, within_s=5)


async def test_p55_markup_in_an_answer_is_text_and_fetches_nothing(visit):
    backend = ScriptedBackend(words=(MARKUP, "<b>bold</b>"))
    visit = await visit(backend, "try")
    await visit.ask("fake/small", "hello")
    answer = visit.page.locator(".answer .text")
    await expect(answer).to_have_text(f"{MARKUP}<b>bold</b>")
    assert await visit.page.locator("img, .text b").count() == 0


async def test_markdown_is_drawn_and_only_what_is_harmless(visit):
    visit = await visit(ScriptedBackend(words=ESCAPES), "try")
    await visit.ask("fake/small", "hello")
    answer = visit.page.locator(".answer .text")
    await expect(answer.locator("h1")).to_have_text("A title")
    await expect(answer.locator("strong")).to_have_text("bold")
    await expect(answer.locator("pre code")).to_have_text("<script>alert(1)</script>\n")
    forbidden = "img, iframe, svg, style, form, script, [onerror], [onload], [style]"
    assert await answer.locator(forbidden).count() == 0
    links = await answer.locator("a[href]").evaluate_all("all => all.map(it => it.href)")
    assert links == ["https://192.0.2.1/page"]
    assert await answer.locator("a[href]").get_attribute("rel") == "noopener noreferrer"
    await visit.page.get_by_label("Markdown").uncheck()
    await expect(answer).to_contain_text("# A title")


async def test_a_long_answer_is_drawn_whole_in_slices(visit):
    part = "## Part\n\n1. one\n\n2. two\n\n```\nno *mark*\n\n\nup\n```\n\nlast **words**\n\n"
    visit = await visit(ScriptedBackend(words=tuple(part * 60)), "try")
    await visit.ask("fake/small", "hello")
    answer = visit.page.locator(".answer .text")
    await expect(visit.page.locator(".figures")).to_contain_text("in all")
    await expect(answer.locator("h2")).to_have_count(60)
    await expect(answer.locator("strong")).to_have_count(60)
    assert set(await answer.locator("pre").all_inner_texts()) == {"no *mark*\n\n\nup\n"}
    at_end = "it => it.scrollHeight - it.scrollTop - it.clientHeight < 5"
    assert await answer.evaluate(at_end)


async def test_what_goes_wrong_is_told_in_the_words_of_the_server(visit):
    backend = ScriptedBackend()
    backend.failures["first"] = BackendError("the engine <b>stumbled</b>")
    visit = await visit(backend, "try", refusals=True)
    await visit.ask("fake/large", "hello")
    await expect(visit.page.get_by_role("alert")).to_have_text("the engine <b>stumbled</b>")
    backend.failures.clear()
    backend.failures["word 1"] = BackendError("it broke in the middle")
    await visit.ask("fake/large", "hello")
    await expect(visit.page.get_by_role("alert")).to_have_text("it broke in the middle")
    await expect(visit.page.locator(".answer .text")).to_have_text("one two")


async def test_options_a_system_prompt_and_a_schema_go_with_the_prompt(visit):
    backend = ScriptedBackend(words=('{"a": 1}',))
    visit = await visit(backend, "try")
    await visit.page.get_by_text("System prompt, form").click()
    await visit.page.get_by_label("System prompt").fill("You count.")
    await visit.page.get_by_label("Temperature").fill("0.5")
    await visit.page.get_by_label("Form of the answer").select_option("schema")
    await visit.page.get_by_label("JSON schema").fill("{no")
    await visit.ask("fake/small", "hello")
    await expect(visit.page.get_by_role("alert")).to_contain_text("The schema is not JSON")
    await visit.page.get_by_label("JSON schema").fill('{"type": "object"}')
    await visit.button("Send").click()
    await expect(visit.page.locator(".figures")).to_contain_text("has the form asked for")
    asked = backend.asked[-1]
    assert [each.content for each in asked.messages] == ["You count.", "hello"]
    assert asked.options.temperature == 0.5
    assert asked.format == {"type": "object"}


@pytest.mark.parametrize("language", ["curl", "python"])
async def test_what_is_copied_runs(visit, language):
    visit = await visit(ScriptedBackend(words=("it's ", "fine")), "try")
    await visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await visit.page.get_by_label("Prompt", exact=False).first.fill('it\'s "quoted" $HOME\nü')
    await visit.page.get_by_text("The same as a command").click()
    await visit.button("Copy as curl" if language == "curl" else "Copy as Python").click()
    await expect(visit.page.get_by_text("copied")).to_be_visible()
    code = await visit.page.evaluate("navigator.clipboard.readText()")
    command = ["bash", "-c", code] if language == "curl" else [sys.executable, "-c", code]
    run = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    out, err = await run.communicate()
    assert run.returncode == 0, err
    said = json.loads(out)["response"] if language == "curl" else out.decode().strip()
    assert said == "it's fine"


async def test_everything_can_be_done_with_the_keyboard(visit):
    visit = await visit(ScriptedBackend(), "try")
    keyboard = visit.page.keyboard
    await visit.page.get_by_label("Prompt", exact=False).first.focus()
    await keyboard.type("hello")
    await keyboard.press("Control+Enter")
    await expect(visit.page.locator(".answer .text")).to_have_text("one two three")


async def test_what_was_written_is_there_when_one_comes_back(visit):
    visit = await visit(ScriptedBackend(), "try")
    await visit.page.get_by_label("Prompt", exact=False).first.fill("unfinished")
    await visit.look("Models")
    await visit.look("Try")
    await expect(visit.page.get_by_label("Prompt", exact=False).first).to_have_value("unfinished")
