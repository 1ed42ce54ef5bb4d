"""From the name a caller uses to the model that is meant (pure).

A name is looked up among what the backends have; it never becomes a path.
"""

from collections.abc import Iterable, Mapping

from attrs import field, frozen

from ..types import ModelInfo

ENDING = ".gguf"

Known = Mapping[str, str]
"""What the models of an instance are called: each id and each other name → the id."""


@frozen
class Target:
    """The model that a name means, and the role or alias that led there, if any."""

    instance: str
    model: str
    role: str | None = None


@frozen
class Names:
    """Names that stand for models: roles of the active profile, and aliases."""

    roles: Mapping[str, str] = field(factory=dict)
    aliases: Mapping[str, str] = field(factory=dict)

    def resolve(self, name: str, available: Mapping[str, Known]) -> Target | None:
        """Return what *name* means: role, then alias, then ``instance/model``, then model.

        Args:
            name: As the caller wrote it. The ending ``.gguf`` may be there or not.
            available: What the models of each instance are called, in the manifest's order,
                which decides where several instances have the model.

        Returns:
            The target; None when nothing has that name.
        """
        meant = self.aliases.get(role := self.roles.get(name, name), role)
        target = _certain(meant, available) or _first(meant, available)
        if target is None or meant == name:
            return target
        return Target(target.instance, target.model, name)

    def table(self, available: Mapping[str, Known]) -> dict[tuple[str, str], tuple[str, ...]]:
        """Return, for each instance and model that has any, the names that stand for it."""
        table: dict[tuple[str, str], tuple[str, ...]] = {}
        for name in (*self.roles, *self.aliases):
            if target := self.resolve(name, available):
                key = target.instance, target.model
                table[key] = (*table.get(key, ()), name)
        return table


def known(models: Iterable[ModelInfo]) -> Known:
    """Return what *models* are called; an id goes before another model's other name."""
    models = tuple(models)
    table = {name: info.id for info in reversed(models) for name in info.names}
    return table | {info.id: info.id for info in models}


def _certain(name: str, available: Mapping[str, Known]) -> Target | None:
    instance, slash, model = name.partition("/")
    if not slash or instance not in available:
        return None
    return _first(model, {instance: available[instance]})


def _first(name: str, available: Mapping[str, Known]) -> Target | None:
    for wanted in _spellings(name):
        for instance, models in available.items():
            if wanted in models:
                return Target(instance, models[wanted])
    return None


def _spellings(name: str) -> tuple[str, ...]:
    if name.lower().endswith(ENDING):
        return name, name[: -len(ENDING)]
    return (name,)
