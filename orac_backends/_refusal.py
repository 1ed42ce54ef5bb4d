"""What it means that an engine refuses a request. Pure."""

from orac_core import InvalidRequest, PromptTooLong

TOO_LONG = (
    "exceeds the available context size",
    "exceeds the context length",
    "exceeds maximum context length",
)
"""What engines say of a prompt that does not fit into the context."""


def refused(told: str) -> InvalidRequest:
    """Return the error for a request that an engine refuses, by what it says."""
    too_long = any(sign in told.lower() for sign in TOO_LONG)
    return PromptTooLong(told) if too_long else InvalidRequest(told)
