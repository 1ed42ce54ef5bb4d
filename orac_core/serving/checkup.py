"""How everything is: what every backend says, and what ORAC itself knows."""

from collections.abc import Mapping

from attrs import evolve, frozen

from ..health import Finding, Flaw, Health, Required, fold
from ..manifest import ActiveProfile
from ..plugins import Plugins
from ..provision import Provisioning
from ..state_directory import StateDirectory
from ..types import InstanceHealth, ModelState, ServedModel
from .fleet import Fleet
from .start import Start


@frozen(eq=False)
class Checkup:
    """Looks at everything.

    Attributes:
        fleet: The models.
        plugins: The plugins that were found.
        profile: The roles that hold, and those that are left out.
        start: Loads models from the start on.
        provisioning: Fetches the models of the roles.
        state: Keeps what is learned.
    """

    fleet: Fleet
    plugins: Plugins
    profile: ActiveProfile
    start: Start
    provisioning: Provisioning
    state: StateDirectory

    async def verdict(self, required: Required) -> Health:
        """Say how everything is, given what is *required*; never raises."""
        instances, models = await self._told()
        found = fold(
            instances,
            models,
            self.plugins.broken,
            required=required.instances,
            unknown=self.fleet.missing(lambda wish: wish.required),
            unstarted=self._unstarted(),
            skipped=self.profile.skipped,
        )
        for subject, text in self._impaired().items():
            found = found.with_flaw(Finding(Flaw.SERVICE_IMPAIRED, subject, text))
        return found

    async def _told(self) -> tuple[Mapping[str, InstanceHealth], list[ServedModel]]:
        """Ask every backend; one that does not tell its models is not usable."""
        instances = await self.fleet.engines.health()
        self.fleet.watch.told(instances)
        down = {name for name, health in instances.items() if not health.usable}
        models, silent = await self.fleet.survey(but=down)
        for name, error in silent.items():
            if instances[name].usable:
                instances[name] = evolve(instances[name], usable=False, message=str(error))
        return instances, models

    def _unstarted(self) -> dict[str, str]:
        at_rest = {None, ModelState.STOPPED}
        failures = self.start.failures.items()
        return {name: why for name, why in failures if self.fleet.state(name) in at_rest}

    def _impaired(self) -> dict[str, str]:
        """Return which parts of the service are worse than they could be, and why."""
        unfetched = self.provisioning.problems.items()
        found = {f"role {it}": f"its model could not be fetched: {why}" for it, why in unfetched}
        if self.state.problem is not None:
            found["state directory"] = self.state.problem
        return found
