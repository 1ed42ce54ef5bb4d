"""Profiles and roles as JSON: those of the profile that holds, resolved, and all there are."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

from attrs import asdict

from orac_core import GenerateOptions
from orac_core.files import RegisteredAdapter
from orac_core.manifest import ActiveProfile, Profile, RoleSettings
from orac_core.serving.parameters import merged

from .redaction import MASK
from .wire import Json


def told(
    active: ActiveProfile,
    general: GenerateOptions,
    kinds: Mapping[str, str],
    adapters: Sequence[RegisteredAdapter],
) -> Json:
    """Return the answer of ``GET /v1/profiles``.

    Args:
        active: The profile that holds.
        general: The parameters of all models.
        kinds: The kind of each backend.
        adapters: What the folder of adapters holds.
    """
    return {
        "profile": active.name,
        "roles": [_resolved(role, active, general, kinds) for role in active.roles],
        "skipped": [{"role": role, "reason": why} for role, why in active.skipped.items()],
        "profiles": [_found(name, each, active.name) for name, each in active.found.items()],
        "adapters": [_adapter(each) for each in adapters],
    }


def _adapter(entry: RegisteredAdapter) -> Json:
    return asdict(entry) | {"path": str(entry.path) if entry.path else None}


def source(named: str | None) -> str | None:
    """Return where a file is fetched from, without what may be a secret: user and query."""
    if named is None or "://" not in named:
        return named
    try:
        parts = urlsplit(named)
        _, at, host = parts.netloc.rpartition("@")
        place = f"{MASK}@{host}" if at else host
        query = MASK if parts.query or parts.fragment else ""
        return urlunsplit((parts.scheme, place, parts.path, query, ""))
    except ValueError:
        return MASK


def _resolved(
    role: str, active: ActiveProfile, general: GenerateOptions, kinds: Mapping[str, str]
) -> Json:
    settings = active.roles[role]
    told_of = _role(role, settings)
    return {
        **told_of,
        "kind": kinds.get(settings.provider) if settings.provider else None,
        "models": list(active.models(role)),
        "parameters": _parameters(merged(general, settings.parameters)),
    }


def _found(name: str, profile: Profile, active: str) -> Json:
    fallbacks = {role: list(names) for role, names in profile.fallbacks.items()}
    return {
        "name": name,
        "active": name == active,
        "roles": [_role(role, settings) for role, settings in profile.models.items()],
        "fallbacks": fallbacks,
    }


def _role(role: str, settings: RoleSettings) -> Json:
    return {
        "role": role,
        "name": settings.name,
        "provider": settings.provider,
        "auto_download": settings.auto_download,
        "parameters": _parameters(settings.parameters),
        "source": source(settings.source),
        "checksum": settings.checksum,
        "adapters": [asdict(each) for each in settings.adapters],
        "prefer": settings.prefer,
    }


def _parameters(options: GenerateOptions) -> Json:
    return asdict(options) | {"stop": list(options.stop)}
