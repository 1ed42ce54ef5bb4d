"""Roles: names for what a model is to do, such as ``coding``, and profiles that hold them."""

from collections.abc import Mapping
from typing import Any

from attrs import Attribute, field, frozen

from ..conversation import GenerateOptions
from .settings import AdapterSettings


def _named(_: object, attribute: "Attribute[Any]", value: str | None) -> None:
    if value is not None and not value.strip():
        raise ValueError(f"{attribute.name!r} must not be empty")


@frozen
class RoleSettings:
    """What a role stands for; a text alone is its ``name``.

    Attributes:
        name: Of the model.
        provider: The instance that has to serve it, or a kind of backend; None for whichever has
            it.
        auto_download: Whether to fetch the model before the role is first used.
        parameters: How to choose the next token where the request does not say so.
        source: Where to fetch the model from, for backends that take files: ``https://…``,
            ``hf://owner/repo/file`` or a path.
        checksum: ``sha256:…`` that the file must have.
        adapters: LoRA adapters to load it with.
    """

    name: str = field(validator=_named)
    provider: str | None = field(default=None, validator=_named)
    auto_download: bool = False
    parameters: GenerateOptions = field(factory=GenerateOptions)
    source: str | None = None
    checksum: str | None = None
    adapters: tuple[AdapterSettings, ...] = ()

    @property
    def model(self) -> str:
        """The name to resolve instead of the role."""
        return f"{self.provider}/{self.name}" if self.provider else self.name


@frozen
class Profile:
    """A table ``[profiles.NAME]``: roles, each with its model, and what answers in its place.

    Attributes:
        models: The roles.
        fallbacks: For each role, names of the models that answer when its own can not, in order.
    """

    models: Mapping[str, RoleSettings] = field(factory=dict)
    fallbacks: Mapping[str, tuple[str, ...]] = field(factory=dict)
