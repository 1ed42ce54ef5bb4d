"""The command ``llm``, against ORAC."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from attrs import frozen
from click.testing import CliRunner
from llm.cli import cli

from tests.clients.actor import FAILURES, STATUSES
from tests.clients.real import FOREIGN, MOVED, ROBOT, TOO_LARGE, TOO_LONG, USER, WIDTH, WRONG
from tests.waiting import until

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.usefixtures("untidy")]

LLM = str(Path(sys.executable).with_name("llm"))
MODEL = """
- model_id: orac
  model_name: small
  api_base: {base_url}
  supports_schema: true
  supports_tools: true
"""
REAL = """
- {{model_id: robot, model_name: orac-robot, {at}, supports_schema: true}}
- {{model_id: endless, model_name: endless, {at}}}
- {{model_id: absent, model_name: absent, {at}}}
- {{model_id: broken, model_name: broken, {at}}}
- {{model_id: foreign, model_name: orac-robot, {at}, headers: {foreign}}}
"""


@frozen
class Command:
    """The command, set up for ORAC."""

    home: Path
    environ: Mapping[str, str] = MappingProxyType({})

    async def start(self, *words):
        """Start it in a process of its own, with no more to read."""
        return await asyncio.create_subprocess_exec(
            *(LLM, *words),
            env={**os.environ, "LLM_USER_PATH": str(self.home), **self.environ},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def __call__(self, *words, given=""):
        """Run it in this process, which spares the time that it takes to start."""
        environ = {"LLM_USER_PATH": str(self.home), **self.environ}
        done = await asyncio.to_thread(
            CliRunner().invoke, cli, words, input=given, env=environ, catch_exceptions=False
        )
        return done.exit_code, done.stdout.strip(), done.stderr


@pytest.fixture
def demo(real, tmp_path):
    """The command, set up for the service of the real engine."""
    home = tmp_path / "demo"
    home.mkdir()
    (home / "keys.json").write_text(json.dumps({"orac": USER}))
    at = f"api_base: {real.base_url}, api_key_name: orac"
    models = REAL.format(at=at, foreign=json.dumps(FOREIGN))
    (home / "extra-openai-models.yaml").write_text(models)
    return Command(home, {"OPENAI_BASE_URL": real.base_url, "OPENAI_API_KEY": USER})


@pytest.fixture
def llm(base_url, tmp_path):
    home = tmp_path / "llm"
    home.mkdir()
    (home / "extra-openai-models.yaml").write_text(MODEL.format(base_url=base_url))
    return Command(home)


async def test_it_lists_what_it_was_told_of(llm):
    _, said, _ = await llm("models")
    assert "orac" in said


@pytest.mark.parametrize("how", [(), ("--no-stream",)], ids=["stream", "whole"])
async def test_it_chats_and_counts_tokens(llm, how):
    code, said, complained = await llm("-m", "orac", "-u", *how, "hi")
    assert (code, said) == (0, "one two three"), complained
    assert "2 input, 3 output" in complained


async def test_it_gets_json_of_a_schema(llm):
    _, said, complained = await llm("-m", "orac", "--schema", "go bool", "go?")
    assert said == '{"go":true}', complained


@pytest.mark.parametrize("code", STATUSES)
async def test_each_error_is_told(llm, code):
    returned, _, complained = await llm("-m", "orac", "--no-stream", f"fail {code}")
    assert returned == 1
    assert f"{STATUSES[code]} - {FAILURES.get(code, '')}" in complained


async def test_a_command_that_ends_early_stops_the_engine(llm, actor):
    process = await llm.start("-m", "orac", "endless")
    await until(lambda: actor.generating == 1, within_s=30)
    process.kill()  # at an interrupt it reads the answer to its end
    await process.communicate()
    await until(lambda: actor.generating == 0)


async def test_it_lists_the_models_of_the_service(demo, real):
    code, said, complained = await demo(
        "openai", "endpoint", real.base_url, "--models", "--key", USER
    )
    assert code == 0, complained
    assert ROBOT in said


@pytest.mark.parametrize("how", [(), ("--no-stream",)], ids=["stream", "whole"])
async def test_it_chats_with_the_real_engine_and_counts_tokens(demo, how):
    code, said, complained = await demo("-m", "robot", "-u", *how, "Move forward 1.5 meters")
    assert (code, said) == (0, MOVED), complained
    assert re.search(r"[1-9]\d* input, [1-9]\d* output", complained)


async def test_it_gets_json_of_a_schema_from_the_real_engine(demo):
    code, said, complained = await demo("-m", "robot", "--schema", "go bool", "Stop!")
    assert code == 0, complained
    assert isinstance(json.loads(said)["go"], bool)


async def test_it_embeds_where_a_role_has_the_name_of_a_model_of_openais(demo):
    code, said, complained = await demo("embed", "-m", "3-small", "-c", "go home")
    assert code == 0, complained
    assert len(json.loads(said)) == WIDTH


@pytest.mark.parametrize(
    ("status", "words", "given"),
    [
        (400, ("-m", "robot"), TOO_LONG),
        (401, ("-m", "robot", "--key", WRONG), "hi"),
        (403, ("-m", "foreign"), "hi"),
        (404, ("-m", "absent"), "hi"),
        (413, ("-m", "robot"), TOO_LARGE),
        (422, ("-m", "broken"), "hi"),
    ],
)
async def test_each_refusal_of_the_service_is_told(demo, status, words, given):
    code, _, complained = await demo(*words, given=given)
    assert code == 1
    assert f"{status} - " in complained or f"Error code: {status}" in complained


async def test_a_command_that_ends_early_stops_the_real_engine(demo, real):
    before = real.cancelled()
    process = await demo.start("-m", "endless", "-o", "temperature", "0", "go")
    assert await process.stdout.read(1)
    process.kill()
    await process.communicate()
    await real.stops(before)
