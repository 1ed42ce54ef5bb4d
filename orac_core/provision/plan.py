"""Who is to fetch what. Pure."""

from collections.abc import Collection, Iterable, Mapping

from attrs import evolve, frozen

from ..files.names import look_up
from ..manifest import FileSettings, RoleSettings
from ..types import ModelInfo, PullRequest

_SLASHES = 2


@frozen
class Wish:
    """A model that is to be there.

    Attributes:
        role: The role, or the name that was asked for.
        request: What a backend is asked for.
        instances: Names of the backends that may have it, the first first; none when nobody can.
        reason: Why there are none.
    """

    role: str
    request: PullRequest
    instances: tuple[str, ...] = ()
    reason: str | None = None


def of_role(
    role: str,
    settings: RoleSettings,
    files: Mapping[str, FileSettings],
    known: Collection[str],
    failed: Mapping[str, str],
) -> Wish:
    """Return what a role needs.

    Args:
        role: Its name, or the name of a model that is asked for.
        settings: What it stands for; its provider, if any, is the name of a backend.
        files: What the manifest says of single models.
        known: Names of the backends, in the manifest's order.
        failed: Why each of the backends that could not be opened could not.
    """
    instances, model = candidates(settings, known)
    said = look_up(files, f"{settings.provider}/{model}") or look_up(files, model) or FileSettings()
    source, checksum = settings.source or said.source, settings.checksum or said.checksum
    request = PullRequest(model, source, checksum)
    wish = Wish(role, request, tuple(name for name in instances if name not in failed))
    return wish if wish.instances else evolve(wish, reason=_why(instances, failed))


def candidates(settings: RoleSettings, known: Collection[str]) -> tuple[tuple[str, ...], str]:
    """Return the backends that may have a role's model, and the model's name without a backend's.

    Args:
        settings: What the role stands for; its provider, if any, is the name of a backend.
        known: Names of the backends, in order.
    """
    if settings.provider is not None:
        return (settings.provider,), settings.name
    instance, slash, model = settings.name.partition("/")
    if slash and instance in known:
        return (instance,), model
    return tuple(known), settings.name


def names_a_host(name: str, instances: Iterable[str]) -> bool:
    """Whether a name says from which host to fetch, as Ollama's names may.

    Args:
        name: As the caller wrote it.
        instances: Names of the backends, which may stand in front.
    """
    instance, _, rest = name.partition("/")
    meant = rest if instance in set(instances) else name
    return meant.count("/") >= _SLASHES or "://" in meant


def known_as(models: Iterable[ModelInfo], name: str) -> ModelInfo | None:
    """Return the one of *models* that a name means; None for none."""
    models = tuple(models)
    others = {other: info for info in reversed(models) for other in info.names}
    return look_up(others | {info.id: info for info in models}, name)


def _why(instances: tuple[str, ...], failed: Mapping[str, str]) -> str:
    if instances:
        return "; ".join(f"{name} is not served: {failed[name]}" for name in instances)
    return "no backend is configured; `orac plugins` shows the kinds there are"
