"""The models of a simulation, not all of which fit, and what the manifest wants of them."""

from collections.abc import Mapping
from typing import Any

from tests.simulation.lives import SimulatedModel
from tests.simulation.machine import MB

TOTAL_BYTES = 5000 * MB
"""Memory of the machine: each model fits beside those that must never go, not all together."""

CAST = {
    "here": (
        SimulatedModel(
            *("small", 600 * MB, 1.5),
            wishes={"pinned": True, "load_at_start": True, "keep_alive": 5},
        ),
        SimulatedModel("large", 3000 * MB, load_s=20, keep_s=600),
        SimulatedModel("brief", 900 * MB, load_s=3, keep_s=0, wishes={"keep_alive": 0}),
    ),
    "there": (
        SimulatedModel("other", 1200 * MB, load_s=6, keep_s=600, wishes={"required": True}),
        SimulatedModel("middle", 2000 * MB, load_s=9, keep_s=600, wishes={"context_length": 1024}),
        SimulatedModel(
            *("fast", 400 * MB, 0.5, 0.02, 0.01),
            keep_s=20,
            wishes={"keep_alive": "20s", "load_at_start": True},
        ),
    ),
}
"""The models of each engine."""


def manifest() -> Mapping[str, Any]:
    """Return the manifest, as it would be written."""
    files = {each.name: each.wishes for cast in CAST.values() for each in cast if each.wishes}
    return {
        "backends": {name: {"kind": "scripted"} for name in CAST},
        "models": {"keep_alive": "10m", "files": files},
    }
