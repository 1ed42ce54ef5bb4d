"""What the audit writes, and what it never does."""

import asyncio
import json
import stat
from contextlib import aclosing

import pytest
from attrs import define
from orac_wrapper_audit import FILE, MIB, append, longest_bytes, plugin

from orac_core import (
    BackendError,
    Chunk,
    GenerateRequest,
    InstanceHealth,
    LoadProgress,
    LoadRequest,
    Message,
    ModelNotFound,
    Plugins,
    Usage,
    hookimpl,
)

SECRET = "the code of the safe is 4711"


@define(eq=False)
class Parrot:
    """A backend that says what it is told."""

    @hookimpl
    async def models(self):
        return []

    @hookimpl
    async def load(self, request):
        if request.model != "parrot":
            raise ModelNotFound(request.model)
        yield LoadProgress("start")

    @hookimpl
    async def unload(self, model):
        await asyncio.sleep(0)

    @hookimpl
    async def generate(self, request):
        if not request.messages:
            raise BackendError(f"nothing was said but {request.prompt}")
        yield Chunk(request.messages[-1].content)
        yield Chunk(done=True, finish_reason="stop", usage=Usage(8, 8))

    @hookimpl
    async def health(self):
        return InstanceHealth(usable=True)


@pytest.fixture
def parrot():
    plugins = Plugins()
    plugins.register("audit", plugin)
    return plugins.bind("cage", Parrot())


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "audit.jsonl"
    monkeypatch.setenv(FILE, str(path))
    return path


def asked():
    return GenerateRequest("parrot", messages=(Message("user", SECRET),))


async def everything(stream):
    async with aclosing(stream):
        return [item async for item in stream]


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_a_load_an_answer_and_an_unload_are_a_line_each(parrot, file):
    await everything(parrot.load(LoadRequest("parrot")))
    await everything(parrot.generate(asked()))
    await parrot.unload("parrot")
    lines = records(file)
    assert [line["operation"] for line in lines] == ["load", "generate", "unload"]
    assert {(line["instance"], line["model"], line["outcome"]) for line in lines} == {
        ("cage", "parrot", "done")
    }
    assert all(line["elapsed_ms"] >= 0 for line in lines)
    assert lines[1]["prompt_tokens"] == lines[1]["completion_tokens"] == 8
    assert lines[1]["finish_reason"] == "stop"


async def test_nothing_that_was_said_is_written_not_even_in_an_error(parrot, file):
    await everything(parrot.generate(asked()))
    with pytest.raises(BackendError, match="4711"):
        await everything(parrot.generate(GenerateRequest("parrot", prompt=SECRET)))
    assert records(file)[1]["outcome"] == "error"
    assert records(file)[1]["error"] == "BackendError"
    assert "4711" not in file.read_text()


async def test_a_load_that_fails_is_written_with_its_error(parrot, file):
    with pytest.raises(ModelNotFound):
        await everything(parrot.load(LoadRequest("dog")))
    assert records(file)[0]["error"] == "ModelNotFound"


async def test_an_answer_whose_reader_leaves_is_closed(parrot, file):
    async with aclosing(parrot.generate(asked())) as stream:
        await anext(stream)
    assert records(file)[0]["outcome"] == "closed"
    assert "finish_reason" not in records(file)[0]


async def test_an_answer_whose_reader_leaves_after_the_last_piece_is_done(parrot, file):
    async with aclosing(parrot.generate(asked())) as stream:
        while not (await anext(stream)).done:
            pass
    assert records(file)[0]["outcome"] == "done"


async def test_nothing_is_written_where_no_file_is_named(parrot, tmp_path, monkeypatch):
    monkeypatch.delenv(FILE, raising=False)
    monkeypatch.chdir(tmp_path)
    await everything(parrot.generate(asked()))
    assert list(tmp_path.iterdir()) == []


async def test_a_file_that_can_not_be_written_stops_no_answer(
    parrot, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv(FILE, str(tmp_path / "missing" / "audit.jsonl"))
    chunks = await everything(parrot.generate(asked()))
    assert chunks[-1].done
    assert "generate parrot is not in the audit" in caplog.text


async def test_a_length_that_is_no_number_is_told_and_stops_no_answer(
    parrot, file, monkeypatch, caplog
):
    monkeypatch.setenv(MIB, "much")
    assert (await everything(parrot.generate(asked())))[-1].done
    assert f"{MIB} must be a number" in caplog.text


def test_a_full_file_makes_room_and_only_its_owner_can_read_it(tmp_path):
    path = tmp_path / "audit.jsonl"
    for number in range(10):
        append(path, f"{number}\n", longest=6)
    assert path.read_text() == "9\n"
    assert (tmp_path / "audit.jsonl.1").read_text() == "6\n7\n8\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "much"])
def test_lengths_that_make_no_sense_are_refused(text):
    with pytest.raises(ValueError, match="MiB above 0"):
        longest_bytes(text)
