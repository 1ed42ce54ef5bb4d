"""From the name a caller uses to the model that is meant (pure).

A name is looked up among what the backends have; it never becomes a path.
"""

from collections.abc import Collection, Mapping

from attrs import field, frozen

ENDING = ".gguf"


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

    def resolve(self, name: str, available: Mapping[str, Collection[str]]) -> Target | None:
        """Return what *name* means: role, then alias, then ``instance/model``, then model.

        Args:
            name: As the caller wrote it. The ending ``.gguf`` may be there or not.
            available: Ids of the models of each instance, in the manifest's order, which decides
                where several instances have the model.

        Returns:
            The target; None when nothing has that name.
        """
        meant = self.aliases.get(role := self.roles.get(name, name), role)
        target = _certain(meant, available) or _first(meant, available)
        if target is None or meant == name:
            return target
        return Target(target.instance, target.model, name)

    def table(
        self, available: Mapping[str, Collection[str]]
    ) -> dict[tuple[str, str], tuple[str, ...]]:
        """Return, for each instance and model that has any, the names that stand for it."""
        table: dict[tuple[str, str], tuple[str, ...]] = {}
        for name in (*self.roles, *self.aliases):
            if target := self.resolve(name, available):
                key = target.instance, target.model
                table[key] = (*table.get(key, ()), name)
        return table


def _certain(name: str, available: Mapping[str, Collection[str]]) -> Target | None:
    instance, slash, model = name.partition("/")
    if not slash or instance not in available:
        return None
    return _first(model, {instance: available[instance]})


def _first(name: str, available: Mapping[str, Collection[str]]) -> Target | None:
    for wanted in _spellings(name):
        for instance, models in available.items():
            if wanted in models:
                return Target(instance, wanted)
    return None


def _spellings(name: str) -> tuple[str, ...]:
    if name.lower().endswith(ENDING):
        return name, name[: -len(ENDING)]
    return (name,)
