"""The kinds that come with ORAC keep every promise that a stranger's has to keep."""

import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

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
from orac_core import Host, ModelFiles, PullRequest
from orac_core.files import Place
from orac_core.testing import BackendContract, FaultyBackend, Subject, judge
from orac_core.testing.machine import machine_of
from orac_core.testing.promises.fetching import FETCHING
from tests.backends.driving import pid_of, until
from tests.backends.file_server import FileServer, serving
from tests.backends.ollama_backend import opened as open_ollama
from tests.backends.openai_server import WHOLE, Scripted, frames, piece, refused
from tests.backends.openai_server import opened as open_openai
from tests.fake_ollama import FakeOllama
from tests.tiny_models import write
from tests.tiny_specialists import write_bert

LLAMA = "tiny-qwen3-0.6b"
BERT = "tiny-bert"
VECTORS = "vectors:latest"
CUT = frames(piece("Hello "), piece(reason="length", usage={"completion_tokens": 1}), "[DONE]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("models")
    write(made, LLAMA, context_length=1 << 16)
    write_bert(made)
    return made


def llamacpp(folder, source=None):
    @asynccontextmanager
    async def make():
        with TemporaryDirectory() as fetched:
            places = (Place(folder, "a test"), Place(Path(fetched), "what is fetched"))
            host = Host(ModelFiles(places), {}, Path(fetched))
            async with open_llamacpp(LlamaCppSettings(threads=1), host) as backend:
                yield subject(backend)

    def subject(backend):
        async def crash():
            os.kill(pid_of(backend, LLAMA), signal.SIGKILL)
            await until(lambda: not backend._workers.is_ready(LLAMA))

        pull = PullRequest("fetched", source or str(folder / f"{LLAMA}.gguf"))
        return Subject(backend, LLAMA, BERT, context_length=4096, end_engine=crash, pull=pull)

    return make


class TestLlamaCpp(BackendContract):
    @pytest.fixture
    def make_backend(self, folder):
        return llamacpp(folder)


@pytest.mark.parametrize("promise", FETCHING, ids=[each.id for each in FETCHING])
async def test_llamacpp_fetches_from_a_server_as_it_promises(folder, promise):
    body = (folder / f"{LLAMA}.gguf").read_bytes()
    async with serving(FileServer(body)) as server:
        verdict = await judge(promise, llamacpp(folder, server.url()))
    assert (verdict.outcome, verdict.seen) == ("kept", "")


def test_any_order_of_calls_leaves_the_real_engine_in_order(folder):
    few = settings(max_examples=2, stateful_step_count=8, deadline=None, phases=[Phase.generate])
    run_state_machine_as_test(machine_of(llamacpp(folder)), settings=few)


class TestOllama(BackendContract):
    @pytest.fixture
    def make_backend(self):
        @asynccontextmanager
        async def make():
            registry = {"fetched": {"size": 400_000, "context_length": 512}}
            async with FakeOllama("0.32.15", registry=registry).serving() as fake:
                fake.add_model("tiny:latest", size=500_000, context_length=8192)
                fake.add_model(VECTORS, size=1000, context_length=512, capabilities=("embedding",))
                ends = {"end_engine": fake.stop, "start_engine": fake.start}
                async with open_ollama(fake.url) as backend:
                    pull = PullRequest("fetched:latest")
                    yield Subject(backend, "tiny:latest", VECTORS, pull=pull, **ends)

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
        if any(len(text) > 10_000 for text in asked["input"]):
            return refused(400, "This model's maximum context length is 512 tokens")
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
            server = Scripted(always=served)
            async with server.serving(), open_openai(server.url) as it:
                ends = {"end_engine": server.stop, "start_engine": server.start}
                yield Subject(it, "small", embedding_model="small", **ends)

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
