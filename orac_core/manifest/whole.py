"""The whole manifest."""

from collections.abc import Mapping

from attrs import field, frozen

from .roles import Profile, RoleSettings
from .settings import BackendEntry, BenchmarkSettings, ModelsSettings, ServerSettings


@frozen
class Manifest:
    """Everything a manifest says; without one, the defaults here hold.

    Attributes:
        profile: The profile whose roles hold; ``ORAC_PROFILE`` or ``LLM_MODELS_PROFILE`` go before
            it.
        server: How to serve: ``[server]``.
        models: What is known of models, and wanted: ``[models]``.
        benchmark: What a benchmark does that is not told otherwise: ``[benchmark]``.
        backends: The backends by name, each a table ``[backends.NAME]``. The name is that of the
            instance in ``instance/model``.
        profiles: The profiles by name, each a table ``[profiles.NAME]``.
    """

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
