"""What the replicas of a model say of it, asked for now and then."""

import asyncio
from functools import partial
from time import monotonic

from attrs import define, field, frozen

from orac_core import LoadRequest, ModelInfo, OracError

from .._ray.wire import Question, unpacked
from .bridge import Bridge

_ASK_S, _WAIT_S = 5.0, 1.0
FRESH_S = 10.0
"""A replica is not asked anew within that time."""


@frozen
class Told:
    """What a replica says.

    Attributes:
        digest: Of what it was made of.
        request: The load that it was made for.
        info: The model, as the backend in it reports it.
        at: When it said so.
    """

    digest: str
    request: LoadRequest
    info: ModelInfo
    at: float


@define(eq=False)
class Replicas:
    """One replica of each model speaks for all.

    Attributes:
        bridge: To the cluster.
    """

    bridge: Bridge
    _told: dict[str, Told] = field(factory=dict, init=False)
    _asking: dict[str, "asyncio.Task[Told | None]"] = field(factory=dict, init=False)

    async def told(self, app: str) -> Told | None:
        """Return what a replica says, or said before; None when none has answered yet.

        Nobody waits long: the next free replica may be one that has much to write first.
        """
        if known := self.fresh(app):
            return known
        asking = self._asking.get(app)
        if asking is None:
            asking = self._asking[app] = asyncio.create_task(self.asked(app), name=f"ask {app}")
            asking.add_done_callback(partial(self._answered, app))
        if app not in self._told:
            await asyncio.wait([asking], timeout=_WAIT_S)
        return self._told.get(app)

    def fresh(self, app: str) -> Told | None:
        """Return what a replica has just said; None when that is too long ago."""
        known = self._told.get(app)
        return known if known and monotonic() - known.at < FRESH_S else None

    async def asked(self, app: str) -> Told | None:
        """Return what a replica says now; None when none answers."""
        try:
            async with asyncio.timeout(_ASK_S):
                answer = await self.bridge.ask(Question("describe", app))
            digest, request, info = unpacked(answer, tuple[str, LoadRequest, ModelInfo])
        except (OracError, TimeoutError):
            return None
        self._told[app] = Told(digest, request, info, monotonic())
        return self._told[app]

    def forget(self, app: str) -> None:
        """Ask anew the next time."""
        self._told.pop(app, None)
        if asking := self._asking.pop(app, None):
            asking.cancel()

    async def close(self) -> None:
        """Ask no more."""
        asking = tuple(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _answered(self, app: str, asking: "asyncio.Task[Told | None]") -> None:
        if self._asking.get(app) is asking:
            del self._asking[app]
