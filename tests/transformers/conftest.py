"""A tiny checkpoint, made here; without torch nothing of this folder is collected."""

from contextlib import AsyncExitStack
from importlib.util import find_spec

import pytest
import pytest_asyncio

from orac_backends.transformers import TransformersSettings
from orac_backends.transformers.backend import open_backend
from tests.backends.driving import children, load

MODEL = "tiny"
ENDLESS = 1 << 14  # tokens that take a while

collect_ignore_glob = [] if find_spec("torch") and find_spec("transformers") else ["test_*.py"]


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """A folder with a checkpoint of random weights that answers without end."""
    from tests.transformers.making import make  # noqa: PLC0415 - it needs torch

    folder = tmp_path_factory.mktemp("checkpoints")
    make(folder / MODEL)
    return folder


@pytest.fixture
async def opened(checkpoints):
    """Opens backends; whatever a test does, none of their processes may outlive it."""
    async with AsyncExitStack() as stack:

        async def opening(*paths, **settings):
            chosen = {"device": "cpu", "threads": 1} | settings
            made = TransformersSettings(paths or (checkpoints,), **chosen)
            return await stack.enter_async_context(open_backend(made))

        yield opening
    assert children() == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def loaded(checkpoints):
    """A backend with the model loaded, for tests that leave it so."""
    settings = TransformersSettings((checkpoints,), device="cpu", threads=1, context_length=ENDLESS)
    async with open_backend(settings) as backend:
        await load(backend, MODEL)
        yield backend
    assert children() == []
