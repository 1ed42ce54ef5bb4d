"""What is wrong with a manifest though each of its values alone is sound (pure)."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from .roles import Profile
from .whole import Manifest

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def mistakes(data: object) -> Iterator[str]:
    """Yield each mistake that takes several tables to see, with its place.

    Args:
        data: What the manifest says, unchecked.
    """
    backends = table(data, "backends")
    for alias in table(data, "models", "aliases"):
        if hidden := _hidden(alias, backends):
            yield f"{hidden} @ {place('models', 'aliases', alias)}"
    for name in table(data, "profiles"):
        for role in table(data, "profiles", name, "models"):
            if hidden := _hidden(role, backends):
                yield f"{hidden} @ {place('profiles', name, 'models', role)}"


def table(data: object, *path: str) -> Mapping[str, Any]:
    """Return the table that stands at *path* in unchecked *data*; an empty one for none."""
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def mistakes_of(profile: Profile) -> Iterator[tuple[str, str, str]]:
    """Yield each mistake that one profile alone shows: its table, the role, and what is wrong."""
    for role in profile.models:
        if not role.strip():
            yield "models", role, "a role must have a name"
    for role, names in profile.fallbacks.items():
        if problem := _of_fallbacks(profile, role, names):
            yield "fallbacks", role, problem


def unknown_profile(data: object, chosen: str | None = None) -> str | None:
    """Return what is wrong with the name of the active profile; None when nothing is.

    Args:
        data: What the manifest says, unchecked.
        chosen: The name of the profile, when it is not the manifest's to say.
    """
    if not isinstance(data, dict):
        return None
    name, there = chosen or data.get("profile", Manifest().profile), data.get("profiles", {})
    if not isinstance(name, str) or not isinstance(there, dict):
        return None
    if name in there or (not there and name == Manifest().profile):
        return None
    return f"no profile {name!r}; there are: {', '.join(sorted(there)) or 'none'}"


def place(*parts: str) -> str:
    """Return where something stands, as TOML writes it: ``models.files."a.b"``."""
    return ".".join(
        part if _BARE.fullmatch(part) else json.dumps(part, ensure_ascii=False) for part in parts
    )


def _of_fallbacks(profile: Profile, role: str, names: tuple[str, ...]) -> str | None:
    if role not in profile.models:
        known = ", ".join(sorted(profile.models)) or "none"
        return f"there is no role {role!r}; there are: {known}"
    if not all(name.strip() for name in names):
        return "a fallback must have a name"
    if profile.models[role].model in names:
        return "the model of the role is no fallback of it"
    if role in names:
        return f"leads back to the role {role!r} itself"
    return None


def _hidden(name: str, backends: Collection[str]) -> str | None:
    """Return why a role or an alias can not be called that; None when it can."""
    instance, slash, _ = name.partition("/")
    if slash and instance in backends:
        return f"hides a model of the backend {instance!r}; choose a name that begins otherwise"
    return None
