"""One cluster of two nodes for all tests; without Ray nothing of this folder is collected."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
import pytest_asyncio

from tests.ray.clusters import Nodes, backend_on, shared

OBJECTS = Path(__file__).with_name("objects")

collect_ignore_glob = [] if find_spec("ray") else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def surroundings():
    """What replicas find in their environment: the objects that they serve."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(OBJECTS), prepend=os.pathsep)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # With Ray's least priority replicas and controller get next to nothing beside other work.
        patch.setenv("RAY_worker_niceness", "0")
        # A dozen processes would compile all of Ray, each for itself.
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield


@pytest.fixture(scope="session")
def nodes(surroundings):
    """A cluster of two nodes."""
    with Nodes.started() as started:
        yield started


@pytest.fixture(scope="session")
def notes(tmp_path_factory):
    """The folder that replicas write to."""
    return tmp_path_factory.mktemp("notes")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def backend(nodes, notes):
    """A backend on the cluster, with all models that tests share."""
    async with backend_on(nodes.address, shared(notes)) as opened:
        yield opened
