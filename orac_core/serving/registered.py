"""What is wanted of an object that was registered, told as the manifest would tell it. Pure."""

from attrs import evolve

from ..health import Required
from ..manifest import FileSettings, ModelsSettings
from ..registry import Registration

KIND = "python"
"""The kind of backend that serves such objects."""


def with_wishes(settings: ModelsSettings, it: Registration) -> ModelsSettings:
    """Return *settings* with what the program wants of the object; the manifest may want more."""
    before = settings.files.get(it.name, FileSettings())
    wanted = evolve(
        before,
        required=before.required or it.required,
        load_at_start=before.load_at_start or it.load_at_start,
    )
    return evolve(settings, files={**settings.files, it.name: wanted})


def with_name(required: Required, it: Registration) -> Required:
    """Return *required* with the object, when it is."""
    if not it.required or it.name in required.models:
        return required
    return evolve(required, models=(*required.models, it.name))
