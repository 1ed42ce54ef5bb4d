"""The kinds that come with ORAC keep every promise that a stranger's has to keep."""

import os
import signal
from contextlib import asynccontextmanager

import orjson
import pytest
from aiohttp import web
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from orac_backends.llamacpp import LlamaCppSettings
from orac_backends.llamacpp.backend import open_backend as open_llamacpp
from orac_backends.python import PythonSettings
from orac_backends.python.backend import open_backend as open_python
from orac_backends.python.settings import PythonModel
from orac_core import Host, ModelFiles
from orac_core.files import Place
from orac_core.testing import BackendContract, FaultyBackend, Subject
from orac_core.testing.machine import machine_of
from tests.backends.driving import pid_of
from tests.backends.ollama_backend import opened as open_ollama
from tests.backends.openai_server import WHOLE, Scripted, frames, piece, refused
from tests.backends.openai_server import opened as open_openai
from tests.fake_ollama import FakeOllama
from tests.tiny_models import write

LLAMA = "tiny-qwen3-0.6b"
CUT = frames(piece("Hello "), piece(reason="length", usage={"completion_tokens": 1}), "[DONE]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("models")
    write(made, LLAMA, context_length=1 << 16)
    return made


def llamacpp(folder):
    @asynccontextmanager
    async def make():
        host = Host(ModelFiles((Place(folder, "a test"),)))
        async with open_llamacpp(LlamaCppSettings(threads=1), host) as backend:

            async def crash():
                os.kill(pid_of(backend, LLAMA), signal.SIGKILL)

            yield Subject(backend, LLAMA, context_length=4096, end_engine=crash)

    return make


class TestLlamaCpp(BackendContract):
    @pytest.fixture
    def make_backend(self, folder):
        return llamacpp(folder)


def test_any_order_of_calls_leaves_the_real_engine_in_order(folder):
    few = settings(max_examples=2, stateful_step_count=8, deadline=None, phases=[Phase.generate])
    run_state_machine_as_test(machine_of(llamacpp(folder)), settings=few)


class TestOllama(BackendContract):
    @pytest.fixture
    def make_backend(self):
        @asynccontextmanager
        async def make():
            async with FakeOllama("0.32.15").serving() as fake:
                fake.add_model("tiny:latest", size=500_000, context_length=8192)
                async with open_ollama(fake.url) as backend:
                    yield Subject(backend, "tiny:latest")

        return make


class TestPython(BackendContract):
    @pytest.fixture
    def make_backend(self):
        @asynccontextmanager
        async def make():
            here = PythonModel("tests.backends.python_objects:model")
            host = Host(ModelFiles(()), {})
            async with open_python(PythonSettings({"it": here}), host) as backend:
                yield Subject(backend, "it", embedding_model="it")

        return make


async def served(request):
    """Answer as a server with one model, ``small``, that writes and makes vectors."""
    if request.path.endswith("/models"):
        return web.json_response({"object": "list", "data": [{"id": "small"}]})
    asked = orjson.loads(await request.read())
    if asked["model"] != "small":
        return refused(404, f"the model {asked['model']} does not exist")
    if request.path.endswith("/embeddings"):
        made = [[float(len(text)), 1.0] for text in asked["input"]]
        data = [{"index": at, "embedding": it} for at, it in enumerate(made)]
        return web.json_response({"data": data, "usage": {"prompt_tokens": 3}})
    whole = WHOLE if asked.get("max_tokens", 9) > 1 else CUT
    return web.Response(body=whole, content_type="text/event-stream")


class TestOpenAI(BackendContract):
    @pytest.fixture
    def make_backend(self):
        @asynccontextmanager
        async def make():
            async with Scripted(always=served).serving() as server, open_openai(server.url) as it:
                yield Subject(it, "small", embedding_model="small")

        return make


class TestFaultyWithoutFaults(BackendContract):
    @pytest.fixture
    def make_backend(self):
        @asynccontextmanager
        async def make():
            backend = FaultyBackend()

            async def crash():
                backend.crash()

            yield Subject(backend, "small", end_engine=crash)

        return make
