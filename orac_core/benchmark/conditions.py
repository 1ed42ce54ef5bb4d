"""The conditions under which two benchmarks ran, and where they were not the same (pure)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from .results import Report, Result

_SUBJECT = (
    *("kind", "engine_version", "sha256", "quantization"),
    *("context_length", "gpu_layers", "parallel"),
)

_IMMATERIAL = frozenset(
    {
        *("energy", "limit", "loads", "missions", "models", "rounds", "seed", "suite", "unload"),
        "verify",
    }
)
"""Options that no figure of one model depends on: the random text of each run is another."""


@frozen
class Difference:
    """A condition that was not the same, so that the figures may differ for its sake.

    Attributes:
        what: Which one: ``host.power_mode``, ``local/small: engine_version`` …
        old: Before, as text.
        new: After.
    """

    what: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"not comparable: {self.what} {self.old} against {self.new}"


def differences(
    old: Report, new: Report, matched: Sequence[tuple[Result, Result]]
) -> Iterator[Difference]:
    """Yield what was not the same in two reports, of which these results belong together."""
    yield from _unlike("host", old.host, new.host)
    yield from _unlike("options", _material(old.options), _material(new.options))
    if old.suite != new.suite:
        yield Difference("suite", old.suite, new.suite)
    for before, after in matched:
        yield from _of_model(before, after)


def _material(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in _IMMATERIAL}


def _of_model(before: Result, after: Result) -> Iterator[Difference]:
    """Yield what was not the same about one model; what one side does not know is passed over."""
    name = after.subject.model
    for part in _SUBJECT:
        old, new = getattr(before.subject, part), getattr(after.subject, part)
        if old is not None and new is not None and old != new:
            yield Difference(f"{name}: {part}", _text(old), _text(new))
    if before.quality and after.quality and before.quality.tasks != after.quality.tasks:
        yield Difference(f"{name}: tasks", before.quality.tasks, after.quality.tasks)


def _unlike(what: str, old: Any, new: Any) -> Iterator[Difference]:
    """Yield each value in which two trees differ, with the way to it."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}, key=str):
            yield from _unlike(f"{what}.{name}", old.get(name), new.get(name))
    elif old != new:
        yield Difference(what, _text(old), _text(new))


def _text(value: object) -> str:
    text = "unknown" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"  # noqa: PLR2004 - part of one line
