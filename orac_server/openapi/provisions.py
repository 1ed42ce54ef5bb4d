"""Answers about provisioning."""

from attrs import frozen

from orac_core.provision import Action


@frozen
class ProvisionedRole:
    """What was done for one role.

    Attributes:
        role: The role, or the name that was asked for.
        model: Name of its model; its id, once that is known.
        instance: The backend that has it; null when none has.
        action: What was done: it was `present`; `imported` from this machine, `pulled` by its
            engine or `downloaded` by ORAC; `skipped`, as nobody can fetch it; or it `failed`.
        reason: Why it was skipped or failed; null when it was not.
        fetched_bytes: What was fetched or copied for it.
        size_bytes: What it takes on the disk; null where that is not known.
        elapsed_ms: Time it took.
    """

    role: str
    model: str
    instance: str | None
    action: Action
    reason: str | None
    fetched_bytes: int
    size_bytes: int | None
    elapsed_ms: float


@frozen
class ProvisionReport:
    """What was done for each role.

    Attributes:
        profile: Name of the profile.
        roles: The roles, in the order asked for.
    """

    profile: str
    roles: list[ProvisionedRole]


@frozen
class ProvisionStage:
    """How far the model of a role is.

    Attributes:
        role: The role, or the name that was asked for.
        model: Name of its model.
        message: What is being done.
        completed: What is done of `total`.
        total: All of it, in bytes; null where that is not known.
    """

    role: str
    model: str
    message: str
    completed: int
    total: int | None
