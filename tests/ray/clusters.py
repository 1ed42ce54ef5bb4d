"""Clusters of this machine, backends on them, and what is seen of their processes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from inspect import isawaitable
from pathlib import Path
from time import monotonic
from typing import Any

import psutil
from attrs import define, frozen

import orac_server
from orac_core import Host, ModelFiles, Plugins

DEMO = Path(orac_server.__file__).parent / "demo"
ROBOT = "orac-robot"
BOARD = {"board": 1.0}
"""What each node has; a replica that takes 0.6 of it has a node of its own."""


@define(eq=False)
class Nodes:
    """A cluster of two nodes, each with a raylet of its own.

    Attributes:
        cluster: Ray's.
        other: The node that is not the head.
    """

    cluster: Any
    other: Any

    @classmethod
    @contextmanager
    def started(cls) -> Iterator["Nodes"]:
        from ray.cluster_utils import Cluster  # noqa: PLC0415 - where Ray is not, nothing is tested

        head = {"num_cpus": 1, "include_dashboard": False, "resources": BOARD | {"lead": 1.0}}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            nodes = cls(cluster, None)
            nodes.add()
            yield nodes
        finally:
            cluster.shutdown()

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    @property
    def raylet(self) -> int:
        """The process of the other node that starts its replicas."""
        return int(self.other.all_processes["raylet"][0].process.pid)

    def add(self) -> None:
        """Add the other node."""
        self.other = self.cluster.add_node(num_cpus=1, resources=BOARD | {"arm": 1.0})

    def kill(self) -> None:
        """Kill all processes of the other node at once, as when its power is cut."""
        raylet = psutil.Process(self.raylet)
        for process in (raylet, *raylet.children(recursive=True)):
            process.kill()
        self.cluster.remove_node(self.other, allow_graceful=False)


@frozen
class Replica:
    """A process of a replica.

    Attributes:
        pid: Its own.
        raylet: Process of its node.
    """

    pid: int
    raylet: int


def replicas(app: str) -> list[Replica]:
    """Return the replicas of an application that run on this machine."""
    title, found = f"ray::ServeReplica:{app}:", []
    for process in psutil.process_iter(["cmdline", "ppid", "status"]):
        words = process.info["cmdline"] or [""]
        if words[0].startswith(title) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(Replica(process.pid, process.info["ppid"]))
    return found


def python(loader: str, parallel: int = 16, **kwargs: Any) -> dict[str, Any]:
    """Return a table of a model that is an object of the tests'."""
    table = {"loader": f"ray_objects:{loader}", "kwargs": kwargs, "parallel": parallel}
    inside = {"models": {"it": table}}
    return {
        "kind": "python",
        "model": "it",
        "settings": inside,
        "num_cpus": 0.01,
        "parallel": parallel,
    }


def llamacpp(model: str, *paths: Path, **others: Any) -> dict[str, Any]:
    """Return a table of a model file, found on the nodes in *paths*."""
    table = {"kind": "llamacpp", "model": model, "paths": list(map(str, paths))}
    return table | {"num_cpus": 0.01, "settings": {"threads": 1}} | others


def shared(notes: Path) -> dict[str, Any]:
    """Return the models of the backend that tests share; each has a folder for its notes."""

    def scribe(name: str, parallel: int = 16, **others: Any) -> dict[str, Any]:
        (notes / name).mkdir()
        return python("scribe", parallel, folder=str(notes / name)) | others

    growing = {"max_replicas": 2, "busy": 2.0, "scale_up_after_s": 0.1, "scale_down_after_s": 1.0}
    return {
        "robot": llamacpp(ROBOT, DEMO, parallel=4),
        "it": python("model"),
        "pair": scribe("pair", replicas=2, resources={"board": 0.6}),
        "few": scribe("few", 2),
        "growing": scribe("growing", **growing),
        "arm": scribe("arm", resources={"arm": 0.5}),
    }


@asynccontextmanager
async def backend_on(
    address: str | None, models: Mapping[str, Any], **settings: Any
) -> AsyncIterator[Any]:
    """Open a backend on a cluster as ORAC does; None makes one of this machine alone."""
    plugins = Plugins.discover()
    table = {"address": address, "models": models, "connect_timeout_s": 120.0, **settings}
    kind, chosen = plugins.settled("ray", table)
    async with opening(kind, chosen) as opened:
        await opened.bridge.look(120.0)
        yield opened


def opening(kind: Any, settings: Any) -> Any:
    """Return what opens a backend that has no model files of its own."""
    return kind.open(settings, Host(ModelFiles.below([])))


def noted(folder: Path) -> list[tuple[int, str, str]]:
    """Return what replicas noted: their process, what happened, and the prompt."""
    lines = (folder / "notes").read_text().splitlines() if (folder / "notes").exists() else []
    return [(int(pid), how, prompt) for pid, how, prompt in (it.split(" ", 2) for it in lines)]


def counted(folder: Path, how: str, order: str) -> Counter[int]:
    """Return how often each replica noted that, of prompts that begin with *order*."""
    return Counter(
        pid for pid, seen, prompt in noted(folder) if seen == how and prompt.startswith(order)
    )


def most_at_once(folder: Path) -> int:
    """Return how many answers one replica made at once."""
    now: Counter[int] = Counter()
    most = 0
    for pid, how, _ in noted(folder):
        now[pid] += 1 if how == "begun" else -1
        most = max(most, now[pid])
    return most


async def running(backend: Any, app: str) -> int:
    """Return how many replicas Ray Serve says run."""
    health = await backend.health()
    return int(health.details.get("replicas", {}).get(app, {}).get("RUNNING", 0))


async def eventually(condition: Any, within_s: float = 60.0) -> None:
    """Wait until *condition* holds, a function that may be awaited; fail when it does not."""
    until = monotonic() + within_s
    while not await _awaited(condition()):
        assert monotonic() < until, f"not so within {within_s} s"
        await asyncio.sleep(0.05)


async def _awaited(found: Any) -> Any:
    return await found if isawaitable(found) else found
