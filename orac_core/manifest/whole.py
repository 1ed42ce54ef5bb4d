"""The whole manifest."""

from collections.abc import Mapping

from attrs import field, frozen

from .roles import Profile, RoleSettings
from .settings import BackendEntry, BenchmarkSettings, ModelsSettings, ServerSettings


@frozen
class Manifest:
    """Everything a manifest says; without one, the defaults here hold."""

    profile: str = "default"
    server: ServerSettings = field(factory=ServerSettings)
    models: ModelsSettings = field(factory=ModelsSettings)
    benchmark: BenchmarkSettings = field(factory=BenchmarkSettings)
    backends: Mapping[str, BackendEntry] = field(factory=dict)
    profiles: Mapping[str, Profile] = field(factory=dict)

    @property
    def roles(self) -> Mapping[str, RoleSettings]:
        """The roles of the active profile."""
        return self.profiles.get(self.profile, Profile()).models
