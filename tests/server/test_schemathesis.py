"""The interface is what its document says, whatever is sent: schemathesis tries it."""

import asyncio
import os
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import MappingProxyType

import pytest

import orac_core
from orac_core import LoadRequest, Rates
from orac_core.manifest import ServerSettings, parse
from orac_server import create_app
from orac_server.access.arranged import arranged
from orac_server.keys import STREAMS
from orac_server.service import bound, listening, url
from tests.scripted import ScriptedBackend, ScriptedSettings, plugins

HERE = Path(__file__).parent
MODELS = ("orac-robot", "orac-words")
MANIFEST = {"backends": {"fake": {"kind": "scripted", "models": list(MODELS)}}}
EXAMPLES = int(os.environ.get("ORAC_EXAMPLES", "3"))
SEED = os.environ.get("ORAC_SEED", "1")
WITHIN_S = 300 + 15 * EXAMPLES
FAULT_OF_PYTHON = "SystemError: AST constructor recursion depth mismatch"
"""What Python 3.11 raises now and then where threads parse at once; no word about the service."""


TOKENS = {"ORAC_ADMIN_TOKEN": "an-administrators-token"}


@pytest.fixture
async def serve(tmp_path, memory_is_back_at_once):
    """Serves a scripted backend, whose streams of events end at once, and returns the address."""
    async with AsyncExitStack() as stack:

        async def served(environ=MappingProxyType({})):
            words = ("a ",) * 20
            backend = ScriptedBackend(ScriptedSettings(MODELS), words, rates=Rates(1000.0, 100.0))
            opening = orac_core.open(
                parse(MANIFEST, "a test"),
                models_dir=tmp_path,
                plugins=plugins(backend),
                environ={"ORAC_STATE_DIR": str(tmp_path / "state")},
            )
            manager = await stack.enter_async_context(opening)
            await manager.load(LoadRequest("orac-robot"))
            app = create_app(manager, guard=arranged("127.0.0.1", "", ServerSettings(), environ))
            app[STREAMS].close()
            listener = stack.enter_context(bound("127.0.0.1", 0))
            await stack.enter_async_context(listening(app, listener))
            return url(listener)

        yield served


async def tried(address, tmp_path, *options, **environ):
    """Let schemathesis ask the service, and return what it tells at its end."""
    code, told = await asked(address, tmp_path, *options, **environ)
    if code and FAULT_OF_PYTHON in told:
        code, told = await asked(address, tmp_path, *options, **environ)
    assert code == 0, told
    return told


async def asked(address, tmp_path, *options, **environ):
    """Run schemathesis; return its exit code and what it told."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file"),
        *(str(HERE / "schemathesis.toml"), "run", f"{address.rstrip('/')}/openapi.json"),
        *("--seed", SEED, "--no-color", *options),
    ]
    hooks = {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE)}
    running = await asyncio.create_subprocess_exec(
        *command,
        cwd=tmp_path,
        env={**os.environ, **hooks, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            told, _ = await running.communicate()
    finally:
        with suppress(ProcessLookupError):
            running.kill()
        await running.wait()
    sys.stdout.write(told.decode())
    return running.returncode, told.decode()


async def test_p36_whatever_is_sent_the_answer_is_as_the_document_says(serve, tmp_path):
    options = "--checks", "all", "--max-examples", str(EXAMPLES)
    assert f"Seed: {SEED}" in await tried(await serve(), tmp_path, *options)


async def test_p36_whoever_has_no_token_is_refused_wherever_one_is_needed(serve, tmp_path):
    options = (
        *("--checks", "ignored_auth,status_code_conformance", "--phases", "examples,fuzzing"),
        *("--max-examples", "1"),
        *("--header", f"Authorization: Bearer {TOKENS['ORAC_ADMIN_TOKEN']}"),
    )
    assert f"Seed: {SEED}" in await tried(await serve(TOKENS), tmp_path, *options, **TOKENS)
