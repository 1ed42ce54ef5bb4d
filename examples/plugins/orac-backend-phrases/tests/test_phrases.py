"""The backend, by itself and in front of a whole ORAC."""

from contextlib import aclosing

import orac_backend_phrases
import pytest
from orac_backend_phrases import PhrasesBackend, PhrasesSettings

import orac_core
from orac_core import (
    Answer,
    BackendUnavailable,
    GenerateOptions,
    GenerateRequest,
    InvalidRequest,
    LoadRequest,
    Message,
    ModelNotFound,
    ModelState,
    Plugins,
)

SETTINGS = PhrasesSettings({"STOP": "I stop here.", "hello": "Hello."}, otherwise="Pardon?")


@pytest.fixture
def phrases():
    plugins = Plugins()
    plugins.register("phrases", orac_backend_phrases)
    return plugins.bind("calm", PhrasesBackend(SETTINGS))


async def everything(stream):
    async with aclosing(stream):
        return [item async for item in stream]


def asked(text, **options):
    messages = (Message("user", text),)
    return GenerateRequest("phrases", messages=messages, options=GenerateOptions(**options))


async def said(instance, request):
    await everything(instance.load(LoadRequest("phrases")))
    return await everything(instance.generate(request))


async def test_the_first_word_of_the_manifest_that_is_in_the_question_decides(phrases):
    texts = {
        question: "".join(chunk.text for chunk in await said(phrases, asked(question)))
        for question in ("Stop, now!", "hello, stop", "Well, hello", "Who?")
    }
    assert list(texts.values()) == ["I stop here.", "I stop here.", "Hello.", "Pardon?"]


async def test_a_raw_prompt_is_looked_into_too(phrases):
    chunks = await said(phrases, GenerateRequest("phrases", prompt="stop"))
    assert "".join(chunk.text for chunk in chunks) == "I stop here."


async def test_an_answer_is_cut_at_its_longest_and_says_so(phrases):
    chunks = await said(phrases, asked("stop", max_tokens=2))
    assert [chunk.text for chunk in chunks] == ["I", " stop", ""]
    assert (chunks[-1].finish_reason, chunks[-1].usage.completion_tokens) == ("length", 2)


async def test_a_stop_text_ends_the_answer_and_is_no_part_of_it(phrases):
    chunks = await said(phrases, asked("stop", stop=("here",)))
    assert "".join(chunk.text for chunk in chunks) == "I stop "
    assert chunks[-1].finish_reason == "stop"
    assert (await said(phrases, asked("stop", stop=("I",))))[-1].usage.completion_tokens == 0


async def test_it_is_loaded_by_a_load_and_by_nothing_else(phrases):
    with pytest.raises(BackendUnavailable):
        await everything(phrases.generate(asked("stop")))
    await everything(phrases.load(LoadRequest("phrases")))
    await phrases.unload("nobody")
    assert [model.state for model in await phrases.models()] == [ModelState.READY]
    await phrases.unload("phrases")
    assert [model.state for model in await phrases.models()] == [ModelState.STOPPED]


async def test_what_it_can_not_do_is_refused(phrases):
    with pytest.raises(ModelNotFound):
        await everything(phrases.load(LoadRequest("nobody")))
    with pytest.raises(InvalidRequest):
        await said(phrases, GenerateRequest("phrases", prompt="stop", format="json"))
    with pytest.raises(InvalidRequest, match="nothing was asked"):
        await said(phrases, GenerateRequest("phrases"))


async def test_a_whole_orac_answers_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("ORAC_STATE_DIR", str(tmp_path / "state"))
    plugins = Plugins()
    plugins.register("phrases", orac_backend_phrases)
    file = tmp_path / "orac.toml"
    file.write_text('[backends.calm]\nkind = "phrases"\notherwise = "Pardon?"\n')
    async with orac_core.open(file, plugins=plugins) as manager:
        answer = (await everything(manager.generate(asked("Who?"))))[-1]
    assert isinstance(answer, Answer)
    assert (answer.text, answer.instance, answer.usage.completion_tokens) == ("Pardon?", "calm", 1)
