"""What came of making a model be there."""

from typing import Any, Literal

from attrs import frozen

Action = Literal["present", "imported", "pulled", "downloaded", "skipped", "failed"]
"""What was done: it was there; it came from this machine, by the engine, or by ORAC; nobody can
fetch it; it could not be fetched."""


@frozen
class Step:
    """How far the fetching of one role's model is.

    Attributes:
        role: The role, or the name that was asked for.
        model: Name of the model.
        message: What is being done.
        completed: What is done of it, in bytes.
        total: All of it; None where that is not known.
    """

    role: str
    model: str
    message: str
    completed: int = 0
    total: int | None = None


@frozen
class Provisioned:
    """What was done for one role.

    Attributes:
        role: The role, or the name that was asked for.
        model: Name of the model; its id, once that is known.
        action: What was done.
        instance: Name of the backend that has it, if any.
        reason: Why it was skipped or failed.
        fetched_bytes: What was fetched or copied for it.
        size_bytes: What it takes on the disk, where that is known.
        elapsed_s: Time it took.
    """

    role: str
    model: str
    action: Action
    instance: str | None = None
    reason: str | None = None
    fetched_bytes: int = 0
    size_bytes: int | None = None
    elapsed_s: float = 0.0

    @property
    def is_there(self) -> bool:
        """Whether the model can be loaded now."""
        return self.action not in ("skipped", "failed")


def told(report: Provisioned) -> dict[str, Any]:
    """Return what was done in plain JSON values, with a unit in the name of each number."""
    return {
        "role": report.role,
        "model": report.model,
        "instance": report.instance,
        "action": report.action,
        "reason": report.reason,
        "fetched_bytes": report.fetched_bytes,
        "size_bytes": report.size_bytes,
        "elapsed_ms": round(report.elapsed_s * 1000, 3),
    }
