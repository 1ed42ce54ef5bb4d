"""The six architectures that ORAC is made for, each on the real engine."""

import json
import os
import signal
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from orac_core import Host, InvalidRequest, LoadRequest, ModelFiles, ModelState, Plugins
from orac_core.files import Place
from tests.backends.driving import ask, chat, load, pid_of, raw, runs, told, until, words
from tests.backends.parent import serving
from tests.tiny_models import TINY_MODELS

DEMO = Path(__file__).parents[2] / "orac_server" / "demo"

SCHEMA = {
    "type": "object",
    "properties": {"side": {"enum": ["left", "right"]}},
    "required": ["side"],
    "additionalProperties": False,
}

each_model = pytest.mark.parametrize("model", [model.name for model in TINY_MODELS])


@each_model
async def test_each_architecture_loads_answers_obeys_a_schema_and_unloads(llamacpp, model):
    await load(llamacpp, model)
    info = await told(llamacpp, model)
    assert info.state is ModelState.READY
    assert (info.loaded.context_length, info.loaded.parallel) == (512, 2)
    assert (info.loaded.gpu_layers, info.loaded.on_gpu_ratio) == (0, 0.0)
    assert info.loaded.memory_bytes > 10 << 20

    for request in (chat(model, max_tokens=12), raw(model, max_tokens=12)):
        *pieces, last = await ask(llamacpp, request)
        assert last.done
        assert last.finish_reason in {"stop", "length"}
        assert not any(piece.done for piece in pieces)
        assert 0 < last.usage.completion_tokens <= 12
        assert last.usage.prompt_tokens > 0

    answer = await ask(llamacpp, chat(model, wanted=SCHEMA, max_tokens=200))
    assert json.loads(words(answer))["side"] in {"left", "right"}

    pid = pid_of(llamacpp, model)
    await llamacpp.unload(model)
    assert not runs(pid)
    assert (await told(llamacpp, model)).state is ModelState.STOPPED


@each_model
async def test_json_is_what_an_answer_begins_with_when_json_is_wanted(llamacpp, model):
    await load(llamacpp, model)
    for request in (chat, raw):
        answer = await ask(llamacpp, request(model, wanted="json", max_tokens=40))
        assert words(answer).startswith("{")
        if answer[-1].finish_reason == "stop":
            assert isinstance(json.loads(words(answer)), dict)


@pytest.mark.parametrize("model", ["tiny-qwen3-1.7b", "tiny-pythia"])
async def test_a_schema_binds_a_raw_prompt(llamacpp, model):
    await load(llamacpp, model)
    answer = await ask(llamacpp, raw(model, wanted=SCHEMA, max_tokens=200))
    assert json.loads(words(answer))["side"] in {"left", "right"}


async def test_a_schema_that_the_engine_would_silently_ignore_is_refused(llamacpp):
    await load(llamacpp, "tiny-tinyllama")
    with pytest.raises(InvalidRequest, match="cannot hold tiny-tinyllama to it"):
        await ask(llamacpp, raw("tiny-tinyllama", wanted=SCHEMA, max_tokens=200))


async def test_a_schema_that_makes_no_sense_is_refused_with_the_engines_reason(llamacpp):
    await load(llamacpp, "tiny-qwen3-0.6b")
    for request in (chat, raw):
        with pytest.raises(InvalidRequest, match="nonsense"):
            await ask(llamacpp, request("tiny-qwen3-0.6b", wanted={"type": "nonsense"}))


async def test_the_plugin_is_found_and_its_backend_passes_the_relay(models_folder):
    plugins = Plugins.discover()
    kind = plugins.kinds["llamacpp"]
    assert plugins.plugins["llamacpp"].distribution
    host = Host(ModelFiles((Place(models_folder, "a test"),)))
    async with plugins.open("local", kind, kind.settings(), host) as instance:
        async with aclosing(instance.load(LoadRequest("tiny-phi2"))) as stages:
            assert [it.stage async for it in stages] == ["validate", "read", "read", "start"]
        async with aclosing(instance.generate(chat("tiny-phi2", max_tokens=4))) as chunks:
            assert [it.done async for it in chunks][-1]
        assert (await instance.health()).usable


def test_orac_itself_never_imports_the_engine(models_folder):
    program = (
        "import sys, asyncio\n"
        "from tests.backends.parent import served\n"
        f"asyncio.run(served({str(models_folder)!r}, 'tiny-phi2'))\n"
        "assert 'xllamacpp' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=30)


def test_all_of_it_works_on_uvloop(models_folder):
    uvloop = pytest.importorskip("uvloop")

    async def whole_life():
        async with serving(models_folder, "tiny-phi2") as backend:
            assert (await ask(backend, chat("tiny-phi2", max_tokens=3)))[-1].done
            pid = pid_of(backend, "tiny-phi2")
            os.kill(pid, signal.SIGKILL)
            await until(lambda: backend._workers["tiny-phi2"].reason)
            await load(backend, "tiny-phi2")
        assert not runs(pid)

    uvloop.run(whole_life())


async def test_the_demo_model_obeys(open_llamacpp):
    llamacpp = await open_llamacpp(DEMO)
    (info,) = await llamacpp.models()
    await load(llamacpp, info.id)
    answer = await ask(llamacpp, chat(info.id, "move forward two meters", temperature=0.0))
    assert json.loads(words(answer)) == {"action": "move", "direction": "forward", "meters": 2}
