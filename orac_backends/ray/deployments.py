"""Bringing models onto the cluster, changing them there, and taking them off."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator
from contextlib import aclosing

from attrs import define, field

from orac_core import BackendError, LoadProgress

from .._ray.spec import Spec
from .._ray.told import App, Cluster, homeless, homes
from .._ray.wire import Question, packed, unpacked
from .bridge import Bridge
from .failures import failure, hopeless, short
from .listing import progress
from .replicas import Replicas

_LOOK_S = 0.2
_COMPARE_S = 330.0


class Unloaded(BackendError):
    """The model was unloaded while it was brought."""


@define(eq=False)
class Deployments:
    """The applications that ORAC has on a cluster.

    Attributes:
        bridge: To the cluster.
        replicas: What those that run say.
    """

    bridge: Bridge
    replicas: Replicas
    _deletions: Counter[str] = field(factory=Counter, init=False)
    _turns: defaultdict[str, asyncio.Lock] = field(
        factory=lambda: defaultdict(asyncio.Lock), init=False
    )

    def deletions(self, app: str) -> int:
        """Return how often a model was taken off so far."""
        return self._deletions[app]

    async def bring(
        self, spec: Spec, cluster: Cluster, since: int, *, anyway: bool = False
    ) -> AsyncGenerator[LoadProgress, None]:
        """Have all replicas of a model run, and yield how far that is.

        A model that runs otherwise is changed replica by replica, and goes on answering: also when
        that fails. One that was not there is taken off when it fails, or this is closed early, and
        any is when somebody has it taken off meanwhile.

        Args:
            spec: The model.
            cluster: The cluster as it was a moment ago.
            since: Its `deletions` before that moment.
            anyway: Whether to tell Ray of it also when it runs as it should, as only Ray knows how
                many replicas it wants.

        Raises:
            OracError: what a replica could not start for.
            BackendError: when no node has room for it, it takes too long, or it was unloaded.
        """
        before = cluster.apps.get(spec.app)
        if not anyway and await self._is_so(spec, before):
            return
        await self._refuse(spec, cluster, before)
        yield LoadProgress("start", message=f"0 of {spec.seats.replicas} replicas run")
        try:
            await self._deploy(spec, since)
            async with aclosing(self._followed(spec, since, new=before is None)) as stages:
                async for stage in stages:
                    yield stage
        except BaseException:
            if before is None or before.going or self._deletions[spec.app] != since:
                await self.take_off(spec.app)
            raise

    async def take_off(self, app: str) -> None:
        """Stop a model; return when its replicas are gone."""
        self._deletions[app] += 1
        self.replicas.forget(app)
        async with self._turns[app]:
            await self.bridge.ask(Question("delete", app))

    async def _deploy(self, spec: Spec, since: int) -> None:
        """Have Ray deploy it, never next to a deletion: it would be there again after that."""
        async with self._turns[spec.app]:
            self._refuse_unloaded(spec, since)
            deploy = Question("deploy", spec.app, packed(spec))
            await self.bridge.ask(deploy, answer_s=spec.start_timeout_s)

    def _refuse_unloaded(self, spec: Spec, since: int) -> None:
        if self._deletions[spec.app] != since:
            raise Unloaded(f"{spec.app} was unloaded while it was being loaded; load it again")

    async def _refuse(self, spec: Spec, cluster: Cluster, before: App | None) -> None:
        """Refuse what can not start; before what runs is changed, also files that are not there."""
        if problem := homeless(spec.seats.resources, spec.seats.labels, cluster.nodes):
            raise BackendError(f"{problem}; add such a node, or ask for less in the manifest")
        if before is None or not before.running:
            return
        compare = Question("compare", spec.app, packed(spec))
        answer = await self.bridge.ask(compare, answer_s=_COMPARE_S)
        if problems := unpacked(answer, list[str]):
            raise BackendError(
                f"{spec.app} answers on as it is: {len(problems)} of its nodes lack what it should "
                f"become ({problems[0]})",
            )

    async def _followed(
        self, spec: Spec, since: int, *, new: bool
    ) -> AsyncGenerator[LoadProgress, None]:
        """Yield how far the replicas are, until all run; of a *new* one all that is said is true.

        What Ray says of one that was there may still be about what it was before.
        """
        loop, told = asyncio.get_running_loop(), ""
        until = loop.time() + spec.start_timeout_s
        while True:
            cluster = await self.bridge.look()
            app = cluster.apps.get(spec.app)
            done = await self._is_so(spec, app)
            self._refuse_unloaded(spec, since)
            if done:
                return
            _refuse_failed(spec, app, _homes(spec, cluster) if new else 0)
            if loop.time() > until:
                raise _too_late(spec, app)
            if app and (now := progress(app, spec.seats.replicas)) != told:
                told = now
                yield LoadProgress("start", message=now)
            await asyncio.sleep(_LOOK_S)

    async def _is_so(self, spec: Spec, app: App | None) -> bool:
        """Whether all replicas run, and are what they should be."""
        if app is None or app.status != "RUNNING":
            return False
        told = self.replicas.fresh(spec.app)
        if told is None or told.digest != spec.inside.digest:
            told = await self.replicas.asked(spec.app)
        return told is not None and told.digest == spec.inside.digest


def _homes(spec: Spec, cluster: Cluster) -> int:
    return homes(spec.seats.resources, spec.seats.labels, cluster.nodes)


def _refuse_failed(spec: Spec, app: App | None, homes: int) -> None:
    if app is None:
        raise BackendError(f"{spec.app} was deleted while it was starting")
    if app.status == "DEPLOY_FAILED":
        raise failure(app.message)
    if error := hopeless(app.message, homes):
        raise error


def _too_late(spec: Spec, app: App | None) -> BackendError:
    said = progress(app, spec.seats.replicas) if app else "nothing is known of it"
    return BackendError(
        f"{spec.app} did not start within {spec.start_timeout_s:g} s: {said}; {short(app)}raise "
        "start_timeout_s if the cluster is that slow",
        operation="load",
    )
