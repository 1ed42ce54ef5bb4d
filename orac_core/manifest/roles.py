"""Roles: names for what a model is to do, such as ``coding``, and profiles that hold them."""

from collections.abc import Mapping
from typing import Any

from attrs import Attribute, field, frozen

from ..conversation import GenerateOptions
from .settings import AdapterSettings

WARM = "warm"
"""What a role may prefer: a backend that has its model loaded."""


def _named(_: object, attribute: "Attribute[Any]", value: str | None) -> None:
    if value is not None and not value.strip():
        raise ValueError(f"{attribute.name!r} must not be empty")


def _a_preference(_: object, __: "Attribute[Any]", value: str | None) -> None:
    if value not in (None, WARM):
        raise ValueError(f"'prefer' must be {WARM!r}, or left out")


@frozen
class RoleSettings:
    """What a role stands for; a text alone is its ``name``.

    Attributes:
        name: Any name of a model but that of a role.
        provider: The backend that has to serve it, or a kind of backend: then the first of that
            kind; without it whichever has it.
        auto_download: Whether to fetch the model before the role is first used.
        parameters: How to choose the next token where a request does not say so.
        source: Where to fetch the model from, for backends that take files: ``https://…``,
            ``hf://owner/repo/file`` or a path.
        checksum: ``sha256:…`` that the file must have.
        adapters: LoRA adapters to load it with.
        prefer: ``warm`` for whichever backend has the model loaded, the least busy of them;
            without it the first that has the model.
    """

    name: str = field(validator=_named)
    provider: str | None = field(default=None, validator=_named)
    auto_download: bool = False
    parameters: GenerateOptions = field(factory=GenerateOptions)
    source: str | None = None
    checksum: str | None = None
    adapters: tuple[AdapterSettings, ...] = ()
    prefer: str | None = field(default=None, validator=_a_preference)

    def __attrs_post_init__(self) -> None:
        of_one = ("provider", "auto_download", "adapters")
        other = next((name for name in of_one if getattr(self, name)), None)
        if self.prefer is not None and other is not None:
            raise ValueError(
                f"'prefer' chooses among all backends that have the model, and {other!r} is of "
                "one; take one of the two out",
            )

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
