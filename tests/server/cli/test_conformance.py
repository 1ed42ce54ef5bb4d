"""``orac conformance``: a report that says which promise, what was seen, how to mend it."""

import json
import sys

import pytest
from click.testing import CliRunner

from orac_core.testing import PROMISES
from orac_server.cli import main
from tests import tiny_models

SOUND = """
from contextlib import asynccontextmanager
from attrs import define, frozen
from orac_core import BackendKind, BackendUnavailable, Chunk, hookimpl
from orac_core.testing import FaultyBackend

@frozen
class Settings:
    words: tuple[str, ...] = ()
    model: str = "small"

{backend}

@asynccontextmanager
async def opened(settings, host):
    yield Backend({{settings.model: 1}})

@hookimpl
def backend_kinds():
    return [BackendKind("made", Settings, opened)]
"""
GOOD = "Backend = FaultyBackend"
SILENT = """
@define(eq=False)
class Backend(FaultyBackend):
    @hookimpl
    async def generate(self, request):
        yield Chunk("half an ans")
"""
RESENTFUL = """
@define(eq=False)
class Backend(FaultyBackend):
    left: bool = False
    gone: bool = False

    @hookimpl
    async def unload(self, model):
        self.gone = self.left
        await FaultyBackend.unload(self, model)

    @hookimpl
    async def generate(self, request):
        self._check(request)
        if self.gone:
            raise BackendUnavailable("its connection is gone")
        try:
            yield Chunk("a")
            yield Chunk(done=True, finish_reason="stop")
        except GeneratorExit:
            self.left = True
            raise
"""
LACKING = "class Backend:\n    def __init__(self, sizes): pass"


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Write a module that is a plugin, and return its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, backend):
        (tmp_path / f"{name}.py").write_text(SOUND.format(backend=backend))
        return name

    return write


def conformance(*arguments):
    return CliRunner().invoke(main, ["conformance", *map(str, arguments)])


def test_a_sound_plugin_keeps_every_promise(plugin):
    done = conformance(plugin("orac_sound", GOOD), "--seed", 7)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1].startswith("made: ")
    assert ", 0 broken, " in done.stdout
    assert done.stdout.endswith("seed 7\n")


def test_a_broken_plugin_is_told_what_was_seen_and_how_to_mend_it(plugin):
    done = conformance(plugin("orac_silent", SILENT), "--set", 'words=["a"]')
    assert done.exit_code == 1
    told = done.stdout.splitlines()
    at = next(number for number, line in enumerate(told) if " generate: " in line)
    assert "the stream broke off before the answer was done" in told[at + 1]
    assert told[at + 2].startswith("    to mend it: yield Chunk(done=True")


def test_what_fails_in_one_order_only_is_told_step_by_step(plugin, tmp_path, monkeypatch):
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    name = plugin("orac_resentful", RESENTFUL)
    done = conformance(name, "--seed", 1, "--json")
    told = json.loads(done.stdout)["promises"]
    assert [each["id"] for each in told if each["outcome"] == "broken"] == ["any-order"]
    steps = told[-1]["steps"]
    assert steps[0] == "open it"
    assert "unload" in steps
    lines = conformance(name, "--seed", 1).stdout.splitlines()
    at = lines.index("    step 1: open it")
    assert " any-order: " in lines[at - 1]
    assert lines[at + len(steps)].startswith("    seen: ")
    assert list(here.iterdir()) == []


def test_without_hypothesis_any_order_is_not_tried(plugin, monkeypatch):
    monkeypatch.setitem(sys.modules, "orac_core.testing.orders", None)
    done = conformance(plugin("orac_plain", GOOD))
    assert done.exit_code == 0
    assert "    not tried: it takes Hypothesis: pip install 'orac[testing]'" in done.stdout


def test_without_its_hooks_nothing_else_is_tried(plugin):
    done = conformance(plugin("orac_lacking", LACKING), "--json", "--model", "small")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert [(each["id"], each["outcome"]) for each in told["promises"]] == [("hooks", "broken")]
    assert "lacks models, load, unload, generate, health" in told["promises"][0]["seen"]


def test_an_installed_kind_is_tried_on_the_real_engine(models):
    tiny_models.write(models, "tiny-qwen3-0.6b")
    done = conformance(
        *("llamacpp", "--models-dir", models, "--context-length", 512, "--json"),
        *("--set", "threads=1"),
    )
    told = json.loads(done.stdout)
    assert done.exit_code == 0, done.stdout
    assert (told["kind"], told["seed"], told["broken"]) == ("llamacpp", 0, 0)
    assert [each["id"] for each in told["promises"]] == [each.id for each in PROMISES]


def test_what_is_neither_a_kind_nor_a_module_is_refused():
    done = conformance("no_such_kind")
    assert done.exit_code == 1
    assert "the kinds installed are llamacpp" in done.stderr


def test_a_setting_that_is_none_is_a_wrong_command_line():
    done = conformance("llamacpp", "--set", "threads")
    assert done.exit_code == 2
    assert "'threads' is not KEY=VALUE" in done.stderr


def test_a_setting_that_the_kind_does_not_have_is_refused(plugin):
    done = conformance(plugin("orac_set", GOOD), "--set", "colour=red")
    assert done.exit_code == 1
    assert "colour" in done.stderr


def test_a_kind_without_a_model_is_not_taken_for_one_that_keeps_its_promises():
    done = conformance("python")
    assert done.exit_code == 1
    assert "it lists no model that answers" in done.stdout
    assert "0 kept, 0 broken, 1 not offered" in done.stdout
