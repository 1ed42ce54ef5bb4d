from contextlib import AsyncExitStack

import psutil
import pytest
from attrs import evolve

import orac_core
from orac_core.doctor import patient
from orac_core.manifest import parse
from orac_core.testing import FakeDevice
from tests.scripted import ScriptedBackend, plugins
from tests.server.serving import TESTS
from tests.server.serving import service as serving
from tests.server.slow_board import SlowBoard
from tests.tiny_models import write, write_all

GIB = 1 << 30
SCRIPTED = {"backends": {"fake": {"kind": "scripted"}}}


@pytest.fixture
def memory_is_back_at_once(monkeypatch):
    """Let the doctor wait for memory that does not change no longer than it has to."""
    monkeypatch.setattr(patient, "BACK_S", 0.02)
    monkeypatch.setattr(patient, "LOOK_S", 0.005)


@pytest.fixture
def board():
    return SlowBoard()


@pytest.fixture
async def open_service(tmp_path):
    """Opens services: of a scripted backend when one is given, else of the real llama.cpp."""
    async with AsyncExitStack() as stack:

        async def opened(  # noqa: PLR0913 - each is what some tests choose
            backend=None,
            *,
            models_dir=None,
            manifest=None,
            limits=None,
            sensors=None,
            guard=None,
        ):
            known = parse(manifest or (SCRIPTED if backend else {}), "a test")
            manager = await stack.enter_async_context(
                orac_core.open(
                    known,
                    models_dir=models_dir or tmp_path,
                    plugins=plugins(backend) if backend else None,
                    limits=limits,
                    environ={},
                    sensors=sensors,
                )
            )
            settings = evolve(known.server, allowed_hosts=TESTS.allowed_hosts)
            return await stack.enter_async_context(serving(manager, settings, guard=guard))

        yield opened


@pytest.fixture
def backend():
    """A backend with the models ``small`` and ``large``, whose moves the test decides."""
    return ScriptedBackend()


@pytest.fixture
async def service(open_service, backend):
    """A service of the scripted backend."""
    return await open_service(backend)


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory):
    """A folder with a model of each architecture, and one whose answer seems endless."""
    folder = tmp_path_factory.mktemp("tiny")
    write_all(folder)
    write(folder, "tiny-qwen3-0.6b", stem="endless", context_length=1 << 20)
    return folder


@pytest.fixture
async def tiny_service(open_service, tiny_models):
    """A service of the real llama.cpp with the tiny models."""
    return await open_service(models_dir=tiny_models)


@pytest.fixture
def process():
    """This process, as the system sees it."""
    return psutil.Process()


@pytest.fixture
def open_board(open_service):
    """Opens services on a board with 4 GiB; the small model has 1 GiB on the disk, the large 3.

    By its size alone a model is reckoned to need an eighth and 256 MiB more.
    """

    async def opened(backend=None, **files):
        backend = backend or ScriptedBackend(sizes={"small": GIB, "large": 3 * GIB})
        sensors = FakeDevice(
            total_bytes=4 * GIB, taken_bytes=lambda: backend.taken_bytes, page_cache_bytes=GIB
        )
        manifest = {**SCRIPTED, "models": {"files": files}}
        return await open_service(backend, manifest=manifest, sensors=sensors), backend

    return opened
