"""From the name a caller uses to the model that is meant (pure).

A name is looked up among what the backends have; it never becomes a path.
"""

from collections.abc import Collection, Iterable, Mapping

from attrs import evolve, field, frozen

from ..conversation import GenerateOptions
from ..errors import ModelNotFound
from ..types import ModelInfo

ENDING = ".gguf"

Known = Mapping[str, str]
"""What the models of an instance are called: each id and each other name → the id."""


@frozen
class Attempt:
    """One model to try for a request.

    Attributes:
        name: A name of the model, never that of a role.
        role: The role that it is tried for, when the request named one.
        fallback: Whether it answers in place of the role's own model.
    """

    name: str
    role: str | None = None
    fallback: bool = False


@frozen
class Target:
    """The model that a name means.

    Attributes:
        instance: The backend that serves it.
        model: Its id there.
        role: The role or alias that led there, if any.
        fallback: Whether it is there in place of the role's own model.
    """

    instance: str
    model: str
    role: str | None = None
    fallback: bool = False


@frozen
class Names:
    """Names that stand for models: roles of the active profile, and aliases.

    Attributes:
        roles: For each role the names of the models to try, in order, its own first.
        aliases: Other names for models.
        parameters: For roles, how to choose the next token where the request does not say so.
        skipped: Why other roles of the profile are left out.
        warm: Roles whose own model is asked of whichever backend has it loaded.
    """

    roles: Mapping[str, tuple[str, ...]] = field(factory=dict)
    aliases: Mapping[str, str] = field(factory=dict)
    parameters: Mapping[str, GenerateOptions] = field(factory=dict)
    skipped: Mapping[str, str] = field(factory=dict)
    warm: frozenset[str] = frozenset()
    _attempts: Mapping[str, tuple[Attempt, ...]] = field(init=False, repr=False, eq=False)

    @_attempts.default
    def _in_order(self) -> Mapping[str, tuple[Attempt, ...]]:
        return {
            role: tuple(Attempt(name, role, place > 0) for place, name in enumerate(names))
            for role, names in self.roles.items()
        }

    def attempts(self, name: str) -> tuple[Attempt, ...]:
        """Return what to try for *name*, in order: for a role its own model, then its fallbacks."""
        return self._attempts.get(name) or (Attempt(name),)

    def resolve(self, name: str, available: Mapping[str, Known]) -> Target | None:
        """Return what *name* means: role, then alias, then ``instance/model``, then model.

        A role means the first of its models that there is.

        Args:
            name: As the caller wrote it. The ending ``.gguf`` may be there or not.
            available: What the models of each instance are called, in the manifest's order,
                which decides where several instances have the model.

        Returns:
            The target; None when nothing has that name.
        """
        found = (self.target(each, available) for each in self.attempts(name))
        return next((target for target in found if target), None)

    def everywhere(
        self, attempt: Attempt, available: Mapping[str, Known]
    ) -> tuple[tuple[Attempt, tuple[str, str]], ...]:
        """Return an attempt for each backend that has the model, with the instance and the model.

        They are in the manifest's order; *available* is as for `resolve`.
        """
        meant = self.aliases.get(attempt.name, attempt.name)
        one = _certain(meant, available)
        each = ({name: models} for name, models in available.items())
        found = (one,) if one else (_first(meant, only) for only in each)
        return tuple((evolve(attempt, name="/".join(it)), it) for it in found if it)

    def target(self, attempt: Attempt, available: Mapping[str, Known]) -> Target | None:
        """Return the model to try; None when nothing has it. *available* is as for `resolve`."""
        meant = self.aliases.get(attempt.name, attempt.name)
        found = _certain(meant, available) or _first(meant, available)
        if found is None:
            return None
        led = attempt.role or (None if meant == attempt.name else attempt.name)
        return Target(*found, led, attempt.fallback)

    def instance(self, attempt: Attempt, instances: Collection[str]) -> str | None:
        """Return which of the *instances* an attempt names; None where any may have its model."""
        meant = self.aliases.get(attempt.name, attempt.name)
        named, slash, _ = meant.partition("/")
        return named if slash and named in instances else None

    def missing(self, attempt: Attempt, why: str | None = None) -> ModelNotFound:
        """Return what to tell whoever wants what nothing has, and *why* the one named has not."""
        if attempt.name in self.skipped:
            why = f"a role is called that, which is skipped: {self.skipped[attempt.name]}"
            return ModelNotFound(attempt.name, why)
        if attempt.role is None or attempt.fallback:
            return ModelNotFound(attempt.name, *filter(None, (why,)))
        fetch = f"`orac provision --roles {attempt.role}` fetches it where it can be fetched"
        return ModelNotFound(attempt.name, f"the role {attempt.role!r} stands for it; {fetch}")

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


def _certain(name: str, available: Mapping[str, Known]) -> tuple[str, str] | None:
    instance, slash, model = name.partition("/")
    if not slash or instance not in available:
        return None
    return _first(model, {instance: available[instance]})


def _first(name: str, available: Mapping[str, Known]) -> tuple[str, str] | None:
    for wanted in _spellings(name):
        for instance, models in available.items():
            if wanted in models:
                return instance, models[wanted]
    return None


def _spellings(name: str) -> tuple[str, ...]:
    if name.lower().endswith(ENDING):
        return name, name[: -len(ENDING)]
    return (name,)
