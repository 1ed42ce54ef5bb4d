"""Requests of another ORAC, which has this one among its backends.

It is served what this one serves itself and not what a third one does, so that two that stand
behind each other do not ask each other for ever.
"""

from aiohttp import web

from orac_core import ModelManager, StateConflict

HEADER = "X-Orac-Relayed"
"""Sent by an ORAC with everything that it asks of another server."""


def relayed(request: web.Request) -> bool:
    """Return whether another ORAC asks."""
    return HEADER in request.headers


async def refuse_relaying(request: web.Request, manager: ModelManager, model: str) -> None:
    """Return when whoever asks may have that model loaded or unloaded here.

    Raises:
        StateConflict: when another ORAC asks, and a third one has the model.
        OracError: as `ModelManager.find`.
    """
    if relayed(request) and (await manager.find(model)).info.relayed:
        raise StateConflict(
            f"{model} is served by another ORAC, and another ORAC asked for it; let that one name "
            "it among its own backends",
        )
