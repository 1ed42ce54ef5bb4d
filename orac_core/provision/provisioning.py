"""The models of the roles: fetched when asked to, or before a role is first used."""

import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from types import MappingProxyType
from typing import TypeVar

from attrs import define, evolve, field

from ..errors import (
    BackendError,
    BackendUnavailable,
    DeadlineExceeded,
    OracError,
    RoleNotFound,
    ShuttingDown,
)
from ..events import Events
from ..manifest import FileSettings, RoleSettings
from ..plugins import Instance
from ..types import PullRequest
from .errand import run
from .fetch import Fetch, Report
from .plan import Wish, candidates, names_a_host, of_role
from .report import Provisioned, Step, told

AGAIN_S = 5.0
"""A fetch that failed is not tried again by the use of a role before so long."""

_MIB = 1 << 20
E = TypeVar("E", bound=OracError)
_NOTHING: Mapping[str, str] = MappingProxyType({})

Key = tuple[PullRequest, tuple[str, ...]]


@define(eq=False)
class Provisioning:
    """Makes the models of the roles be there, each fetched once for all who ask.

    Attributes:
        roles: The roles of the profile that holds.
        files: What the manifest says of single models.
        instances: The backends that are open, in the manifest's order.
        known: Names of all backends of the manifest.
        failed: Why each of those that could not be opened could not.
        skipped: Why each of the roles that nothing can serve is left out.
        profile: Name of the profile.
        events: Where it is told what was done.
        clock: Tells seconds that never go back.
        reports: What was last done for each role.
        wanted: Roles whose models are fetched before they are first used, and that are not yet.
    """

    roles: Mapping[str, RoleSettings] = field(factory=dict)
    files: Mapping[str, FileSettings] = field(factory=dict)
    instances: Mapping[str, Instance] = field(factory=dict)
    known: Collection[str] = ()
    failed: Mapping[str, str] = _NOTHING
    skipped: Mapping[str, str] = _NOTHING
    profile: str = "default"
    events: Events = field(factory=Events)
    clock: Callable[[], float] = time.monotonic
    reports: dict[str, Provisioned] = field(factory=dict, init=False)
    wanted: set[str] = field(init=False)
    _fetches: dict[Key, Fetch] = field(factory=dict, init=False)
    _failed_at: dict[str, float] = field(factory=dict, init=False)
    _closed: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        roles = self.roles.items()
        self.wanted = {
            name for name, role in roles if role.auto_download and name not in self.skipped
        }

    async def provision(
        self, roles: Collection[str] | None = None, *, force: bool = False
    ) -> AsyncGenerator[Step | Provisioned, None]:
        """Make the models of some roles be there, one after the other, saying how far it is.

        What one role lacks stops no other. A fetch that has begun goes on when the caller leaves.

        Args:
            roles: Names of roles; None for all of the profile.
            force: Look at models that are there, too: whether they are whole and still the same.

        Yields:
            For each role its steps, then what was done.

        Raises:
            RoleNotFound: when there is no such role.
            ShuttingDown: when ORAC is stopping.
        """
        names = tuple(dict.fromkeys(self.roles if roles is None else roles))
        self._require_roles(names)
        wishes = [self._of_role(name) for name in names]
        async with aclosing(self._all(wishes, force=force)) as steps:
            async for step in steps:
                yield step

    async def pull(
        self, names: Collection[str], *, force: bool = False
    ) -> AsyncGenerator[Step | Provisioned, None]:
        """Do the same for models by their names; that of a role means the role.

        A name that says from which host is skipped, unless the manifest has it.

        Raises:
            ShuttingDown: when ORAC is stopping.
        """
        wishes = [self._named(name) for name in dict.fromkeys(names)]
        async with aclosing(self._all(wishes, force=force)) as steps:
            async for step in steps:
                yield step

    async def first_use(self, role: str) -> AsyncGenerator[Step, None]:
        """Fetch the model of a role that is ``wanted``, saying how far it is; else nothing.

        Raises:
            BackendError: when it could not be fetched, just now or a moment ago.
        """
        if role not in self.wanted:
            return
        left_s = self._failed_at.get(role, -AGAIN_S) + AGAIN_S - self.clock()
        if left_s > 0:
            raise _not_fetched(self.reports[role], left_s)
        async with aclosing(self._one(self._of_role(role), force=False)) as steps:
            async for step in steps:
                if isinstance(step, Step):
                    yield step
        if (report := self.reports[role]).action == "failed":
            raise _not_fetched(report, AGAIN_S)

    def underway_s(self, role: str) -> float:
        """Return for how many seconds a role's model is being fetched; 0 when it is not."""
        fetch = self._underway(role)
        return 0.0 if fetch is None else fetch.age_s

    def why_late(self, role: str) -> DeadlineExceeded | None:
        """Return what to tell who waited too long for a role's model; None when nobody fetches."""
        fetch = self._underway(role)
        return _still_coming(DeadlineExceeded, self.roles[role].name, fetch) if fetch else None

    def why_missing(self, role: str) -> BackendUnavailable | None:
        """Return what to tell who does not wait for it; None when nobody fetches."""
        fetch = self._underway(role)
        return _still_coming(BackendUnavailable, self.roles[role].name, fetch) if fetch else None

    @property
    def problems(self) -> Mapping[str, str]:
        """Why the model of each role that could not be fetched was not, by role."""
        found = {name: self.reports[name] for name in self.roles if name in self.reports}
        return {name: it.reason or "" for name, it in found.items() if it.action == "failed"}

    async def close(self) -> None:
        """Stop every fetch; what has come stays for the next time."""
        self._closed = True
        for fetch in tuple(self._fetches.values()):
            await fetch.end()

    def _require_roles(self, names: Sequence[str]) -> None:
        unknown = [name for name in names if name not in self.roles]
        if unknown:
            known = ", ".join(self.roles) or "none"
            raise RoleNotFound(unknown[0], f"the profile {self.profile!r} has these: {known}")

    def _underway(self, role: str) -> Fetch | None:
        if role not in self.wanted:
            return None
        wish = self._of_role(role)
        fetch = self._fetches.get(_key(wish.request, wish.instances))
        return None if fetch is None or fetch.over else fetch

    def _of_role(self, name: str) -> Wish:
        settings = self.roles[name]
        if name in self.skipped:
            return Wish(name, PullRequest(settings.name), reason=self.skipped[name])
        return of_role(name, settings, self.files, self.known, self.failed)

    def _named(self, name: str) -> Wish:
        if name in self.roles:
            return self._of_role(name)
        settings = RoleSettings(name)
        model = candidates(settings, self.known)[1]
        if names_a_host(name, self.known) and not {name, model} & set(self.files):
            why = "it names a host; only the manifest may say from where models are fetched"
            return Wish(name, PullRequest(model), reason=why)
        return of_role(name, settings, self.files, self.known, self.failed)

    async def _all(
        self, wishes: Sequence[Wish], *, force: bool
    ) -> AsyncGenerator[Step | Provisioned, None]:
        for wish in wishes:
            async with aclosing(self._one(wish, force=force)) as steps:
                async for step in steps:
                    yield step

    async def _one(self, wish: Wish, *, force: bool) -> AsyncGenerator[Step | Provisioned, None]:
        if self._closed:
            raise ShuttingDown("ORAC is stopping and fetches nothing; ask again in a moment")
        fetch = self._fetch(evolve(wish, request=evolve(wish.request, force=force)))
        async with aclosing(fetch.follow()) as progress:
            async for each in progress:
                yield Step(wish.role, wish.request.model, each.message, each.completed, each.total)
        if self._closed:
            raise ShuttingDown("ORAC is stopping; the fetch goes on from there the next time")
        report = evolve(await fetch.result(), role=wish.role)
        yield self._noted(report, force=force) if wish.role in self.roles else report

    def _fetch(self, wish: Wish) -> Fetch:
        """Join the fetch of the same model that is under way, or begin one."""
        key = _key(wish.request, wish.instances)
        self._fetches = {each: it for each, it in self._fetches.items() if not it.over}
        fetch = self._fetches.get(key)
        if fetch is None:
            open_ones = {name: self.instances[name] for name in wish.instances}
            fetch = self._fetches[key] = Fetch(self.clock)
            fetch.start(lambda report: self._run(wish, open_ones, report))
        return fetch

    async def _run(
        self, wish: Wish, instances: Mapping[str, Instance], report: Report
    ) -> Provisioned:
        """Fetch, and remember what was done: nobody may wait for it any more."""
        done = await run(wish, instances, report, self.clock)
        return self._noted(done, force=wish.request.force)

    def _noted(self, report: Provisioned, *, force: bool) -> Provisioned:
        """Remember what was done, unless nothing was and more is known; tell it once."""
        before = self.reports.get(report.role)
        if before == report:
            return report
        if report.is_there:
            self.wanted.discard(report.role)
            self._failed_at.pop(report.role, None)
            if before and before.is_there and report.action == "present" and not force:
                return before
        elif report.action == "skipped":
            self.wanted.discard(report.role)
        elif report.role in self.roles:
            self._failed_at[report.role] = self.clock()
        if report.role in self.roles:
            self.reports[report.role] = report
        self.events.publish("provision", **told(report))
        return report


def _key(request: PullRequest, instances: tuple[str, ...]) -> Key:
    return evolve(request, force=False), instances


def _not_fetched(report: Provisioned, again_s: float) -> BackendError:
    error = BackendError(
        f"{report.model}, the model of the role {report.role!r}, could not be fetched: "
        f"{report.reason}",
        instance=report.instance or "",
        operation="pull",
    )
    error.retry_after_s = again_s
    return error


def _still_coming(kind: Callable[[str], E], model: str, fetch: Fetch) -> E:
    far = ""
    if (latest := fetch.latest) is not None and latest.total:
        far = f" ({latest.completed // _MIB} of {latest.total // _MIB} MiB)"
    error = kind(
        f"{model} is still being fetched{far}, and that goes on; ask again in a while, or wait for "
        "`orac provision` before"
    )
    error.retry_after_s = fetch.left_s or AGAIN_S
    return error
