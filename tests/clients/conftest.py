"""Where the clients of others find ORAC; what is not installed is not collected."""

import gc
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
from structlog.testing import capture_logs

import orac_core
from orac_core import ModelManager
from orac_core.manifest import parse
from tests.clients.actor import Actor, stumbling
from tests.clients.real import real as started
from tests.scripted import plugins
from tests.server.serving import service as serving

NEEDED = {
    "langchain_openai": "test_langchain.py",
    "litellm": "test_litellm.py",
    "llm": "test_llm.py",
}
JS = Path(__file__).parent / "js"
ROLES = {"general": "small"}

collect_ignore = [test for module, test in NEEDED.items() if not find_spec(module)]
if not (JS / "node_modules").exists():
    collect_ignore.append("test_javascript.py")


@pytest.fixture
def actor():
    """A backend that does what the prompt tells it."""
    return Actor()


@pytest.fixture
def untidy():
    """For clients that leave connections to the garbage collector, which would tell later tests."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A service that runs the real engine in a process of its own, and asks for tokens."""
    with started(tmp_path_factory.mktemp("real")) as running:
        yield running


@pytest.fixture
async def service(actor, tmp_path, monkeypatch):
    """A service of the actor, with the role ``general``, that stumbles where it is told to."""
    monkeypatch.setattr(ModelManager, "answer", stumbling(ModelManager.answer))
    monkeypatch.setattr(ModelManager, "generate", stumbling(ModelManager.generate))
    manifest = {
        "backends": {"fake": {"kind": "scripted"}},
        "profiles": {"default": {"models": ROLES}},
    }
    known, actors = parse(manifest, "a test"), plugins(actor)
    async with (
        orac_core.open(known, models_dir=tmp_path, plugins=actors, environ={}) as manager,
        serving(manager) as served,
    ):
        with capture_logs():  # what nobody expected is logged with all that it held
            yield served


@pytest.fixture
def base_url(service):
    """What a client of OpenAI's API is given."""
    return f"{service.url.rstrip('/')}/v1"
