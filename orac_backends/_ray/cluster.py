"""The cluster, as the bridge drives it. Everything here blocks: the bridge calls it in a thread."""

import logging
import socket
from contextlib import suppress
from typing import Any

import ray
from ray import serve
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from . import told
from .admission import require_admitted
from .inner import disagreement
from .replica import Replica
from .spec import Seats, Spec
from .wire import packed

_HEALTH_S, _HEALTH_TIMEOUT_S = 2.0, 10.0
_ATTEMPTS = 3
_SHUT = 0.1
_REACH_S = 10.0


def connect(address: str | None, namespace: str) -> None:
    """Become a driver of the cluster at *address*; None makes one of this machine alone.

    Raises:
        Exception: whatever Ray raises when it can not.
    """
    if address and ":" in address:
        _require_listening(address)
    if address:
        require_admitted(address)
    local: dict[str, Any] = {} if address else {"include_dashboard": False}
    ray.init(
        address=address or "local",
        namespace=namespace,
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=False,
        **local,
    )
    serve.start(proxy_location="Disabled", logging_config={"log_level": "ERROR"})


def _require_listening(address: str) -> None:
    """Refuse at once where nothing listens: Ray goes on trying, and ends the process after that."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH_S).close()
    except OSError as error:
        raise ConnectionError(
            f"nothing answers there ({error}); start the head of the cluster (`ray start --head`), "
            "or correct 'address'",
        ) from error


def leave() -> None:
    """Be a driver no more; a cluster of this machine alone ends with that."""
    ray.shutdown()


def look() -> told.Cluster:
    """Return how the cluster is."""
    nodes = tuple(map(_node, _nodes()))
    apps = {name: _app(each) for name, each in serve.status().applications.items()}
    return told.Cluster(ray.__version__, nodes, apps)


def deploy(spec: Spec) -> None:
    """Have the cluster run a model; one that runs already is changed replica by replica.

    Nothing is stopped when only the number of replicas is another.
    """
    deployment = _versioned(serve.deployment(name="model", **_options(spec))(Replica), spec)
    target = serve.RunTarget(deployment.bind(packed(spec.inside)), name=spec.app, route_prefix=None)
    serve.run_many([target], wait_for_applications_running=False)


def delete(app: str) -> None:
    """Begin to stop a model."""
    if app in serve.status().applications:
        serve.delete(app, _blocking=False)  # it would look each second, and for a minute only


def status(app: str) -> str | None:
    """Return how an application is, in Ray's word; None where there is none."""
    found = serve.status().applications.get(app)
    return None if found is None else str(found.status.value)


def handle(app: str) -> Any:
    """Return what a model is asked by."""
    return serve.get_app_handle(app)


def disagreeing(spec: Spec, timeout_s: float) -> list[str]:
    """Return which nodes that may hold a replica lack its files, or have others, and how."""
    check = ray.remote(num_cpus=0, max_retries=0)(disagreement)
    fitting = (
        NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        for node in _nodes()
        if _node(node).holds(spec.seats.resources, spec.seats.labels)
    )
    asked = [check.options(scheduling_strategy=on).remote(packed(spec.inside)) for on in fitting]
    return [problem for problem in ray.get(asked, timeout=timeout_s) if problem]


def _versioned(deployment: Any, spec: Spec) -> Any:
    """Return a deployment that Ray tells from others by what is in it.

    Without that each is another to Ray, and to change the number of replicas restarts them all.
    """
    with suppress(TypeError, ValueError):  # Ray may take that away
        return deployment.options(version=spec.inside.digest, _internal=True)
    return deployment


def _options(spec: Spec) -> dict[str, Any]:
    seats = spec.seats
    return {
        **_count(seats),
        "max_ongoing_requests": seats.parallel,
        "max_replicas_per_node": seats.for_each_node,
        "max_constructor_retry_count": _ATTEMPTS,
        "ray_actor_options": _taken(seats),
        "health_check_period_s": _HEALTH_S,
        "health_check_timeout_s": _HEALTH_TIMEOUT_S,
        "graceful_shutdown_timeout_s": spec.drain_s,
        "graceful_shutdown_wait_loop_s": _SHUT,
    }


def _count(seats: Seats) -> dict[str, Any]:
    if seats.most <= seats.replicas:
        return {"num_replicas": seats.replicas}
    scaling = {
        "min_replicas": seats.replicas,
        "initial_replicas": seats.replicas,
        "max_replicas": seats.most,
        "target_ongoing_requests": seats.busy,
        "upscale_delay_s": seats.up_after_s,
        "downscale_delay_s": seats.down_after_s,
        "metrics_interval_s": 1.0,
        "look_back_period_s": 2.0,
    }
    return {"autoscaling_config": scaling}


def _taken(seats: Seats) -> dict[str, Any]:
    taken = dict(seats.resources)
    options: dict[str, Any] = {
        "num_cpus": taken.pop("CPU", 0.0),
        "num_gpus": taken.pop("GPU", 0.0),
    }
    if memory := taken.pop("memory", 0.0):
        options["memory"] = int(memory)
    if seats.labels:
        options["label_selector"] = dict(seats.labels)
    return options | {"resources": taken}


def _nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _node(found: dict[str, Any]) -> told.Node:
    resources = {name: float(it) for name, it in found.get("Resources", {}).items()}
    return told.Node(found["NodeManagerAddress"], resources, dict(found.get("Labels") or {}))


def _app(found: Any) -> told.App:
    replicas: dict[str, int] = {}
    messages = [found.message]
    for each in found.deployments.values():
        replicas |= {str(getattr(k, "value", k)): n for k, n in each.replica_states.items()}
        messages.append(each.message)
    text = "\n".join(filter(None, messages))
    return told.App(str(found.status.value), text, replicas)
