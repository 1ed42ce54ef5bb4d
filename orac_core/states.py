"""The states of a model, and the one table of what may follow what."""

from collections.abc import Mapping
from types import MappingProxyType

from .errors import StateConflict
from .types import ModelState

TRANSITIONS: Mapping[ModelState, frozenset[ModelState]] = MappingProxyType(
    {
        ModelState.STOPPED: frozenset({ModelState.STARTING}),
        ModelState.STARTING: frozenset(
            {ModelState.READY, ModelState.STOPPING, ModelState.FAILED},
        ),
        ModelState.READY: frozenset({ModelState.STOPPING, ModelState.FAILED}),
        ModelState.STOPPING: frozenset({ModelState.STOPPED, ModelState.FAILED}),
        ModelState.FAILED: frozenset({ModelState.STARTING, ModelState.STOPPING}),
    },
)
"""For each state, the states that may follow it."""


def follow(now: ModelState, then: ModelState) -> ModelState:
    """Return *then*.

    Raises:
        StateConflict: when *then* may not follow *now*.
    """
    if then not in TRANSITIONS[now]:
        allowed = ", ".join(sorted(TRANSITIONS[now]))
        raise StateConflict(f"a model that is {now} cannot become {then}, only: {allowed}")
    return then
