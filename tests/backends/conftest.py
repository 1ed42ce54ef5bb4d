import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from orac_backends.llamacpp import LlamaCppSettings
from orac_backends.llamacpp.backend import open_backend
from orac_core import Host, ModelFiles
from orac_core.files import Place
from tests.backends.driving import children
from tests.tiny_models import write, write_all

FAKE_SERVER = Path(__file__).with_name("fake_llama_server.py")


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory) -> Path:
    """The six tiny models, and one with a context so long that its answer seems endless."""
    folder = tmp_path_factory.mktemp("models")
    write_all(folder)
    write(folder, "tiny-qwen3-0.6b", stem="endless", context_length=1 << 20)
    return folder


@pytest.fixture
async def open_llamacpp(models_folder):
    """Opens backends; whatever a test does, none of their processes may outlive it."""
    async with AsyncExitStack() as stack:

        async def opened(folder=models_folder, **settings):
            host = Host(ModelFiles((Place(folder, "a test"),)))
            # One thread: several that spin for each other starve on a machine that is busy.
            chosen = LlamaCppSettings(**({"threads": 1} | settings))
            return await stack.enter_async_context(open_backend(chosen, host))

        yield opened
    assert children() == []


@pytest.fixture
async def llamacpp(open_llamacpp):
    return await open_llamacpp()


@pytest.fixture
def fake_server(tmp_path) -> Path:
    """A `llama-server` as a user might build it: the real engine behind that program's flags."""
    program = tmp_path / "llama-server"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{FAKE_SERVER}" "$@"\n')
    program.chmod(0o755)
    return program
