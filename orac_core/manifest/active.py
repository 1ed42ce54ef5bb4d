"""The roles of the profile that holds, as far as there is something to serve them (pure)."""

from collections.abc import Collection, Iterator, Mapping

from attrs import evolve, field, frozen

from .roles import Profile, RoleSettings
from .whole import Manifest


@frozen
class ActiveProfile:
    """The profile that holds.

    Attributes:
        name: Its name.
        roles: Its roles that are usable; the ``provider`` of each is the name of an instance.
        fallbacks: For each of them names of models in order. A role among the fallbacks of
            another stands there as its own model.
        skipped: Why each of the other roles is left out.
        found: Every profile there is.
    """

    name: str = Manifest().profile
    roles: Mapping[str, RoleSettings] = field(factory=dict)
    fallbacks: Mapping[str, tuple[str, ...]] = field(factory=dict)
    skipped: Mapping[str, str] = field(factory=dict)
    found: Mapping[str, Profile] = field(factory=dict)

    def models(self, role: str) -> tuple[str, ...]:
        """Return the names of the models to try for a role, in order, its own first."""
        return (self.roles[role].model, *self.fallbacks.get(role, ()))

    def instances(self, known: Collection[str]) -> frozenset[str]:
        """Return which of the *known* instances its roles and their fallbacks name."""
        names = (name for role in self.roles for name in self.models(role))
        return frozenset(name.partition("/")[0] for name in names if "/" in name) & set(known)


def activated(
    manifest: Manifest, instances: Mapping[str, str], kinds: Collection[str]
) -> ActiveProfile:
    """Return what the active profile of *manifest* comes to.

    The ``provider`` of a role is an instance, or else a kind; then it is the first instance of
    that kind. A role whose provider is neither, or is of a kind that no plugin offers, is skipped.

    Args:
        manifest: The manifest.
        instances: The kind of each instance, in the order of the manifest.
        kinds: The kinds that plugins offer.
    """
    profile = manifest.profiles.get(manifest.profile, Profile())
    usable: dict[str, RoleSettings] = {}
    skipped: dict[str, str] = {}
    for role, settings in profile.models.items():
        provider = _instance(settings.provider, instances)
        problem = _problem(settings.provider, provider, instances, kinds)
        if problem is None:
            usable[role] = evolve(settings, provider=provider)
        else:
            skipped[role] = problem
    fallbacks = {role: _fallbacks(profile, usable, role) for role in usable}
    return ActiveProfile(manifest.profile, usable, fallbacks, skipped, manifest.profiles)


def _instance(provider: str | None, instances: Mapping[str, str]) -> str | None:
    if provider is None or provider in instances:
        return provider
    return next((name for name, kind in instances.items() if kind == provider), None)


def _problem(
    wanted: str | None, found: str | None, instances: Mapping[str, str], kinds: Collection[str]
) -> str | None:
    """Return why a role that wants a provider is skipped; None when it is not."""
    if wanted is None:
        return None
    if found is not None:
        kind = instances[found]
        if kind in kinds:
            return None
        return f"its provider {found!r} is of the kind {kind!r}, which no plugin offers"
    if wanted in kinds:
        return (
            f"no backend is of the kind {wanted!r}; add one to the manifest: "
            f"[backends.{wanted}] with kind = {wanted!r}"
        )
    there = ", ".join(dict.fromkeys((*instances, *kinds))) or "none"
    return f"no plugin and no backend offers the provider {wanted!r}; there are: {there}"


def _fallbacks(profile: Profile, usable: Mapping[str, RoleSettings], role: str) -> tuple[str, ...]:
    """Return the models that stand in for that of a role, each once."""
    others = dict.fromkeys(_meant(profile, usable, role))
    others.pop(usable[role].model, None)
    return tuple(others)


def _meant(profile: Profile, usable: Mapping[str, RoleSettings], role: str) -> Iterator[str]:
    """Yield the names that stand for the fallbacks of a role; a role that is skipped has none."""
    for name in profile.fallbacks.get(role, ()):
        if name in usable:
            yield usable[name].model
        elif name not in profile.models:
            yield name
