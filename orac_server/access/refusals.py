"""How it is told that somebody may not ask (pure)."""

from http import HTTPStatus

from ..errors import Problem, Rule, envelope

REALM = 'Bearer realm="ORAC"'

UNAUTHORIZED = Rule(HTTPStatus.UNAUTHORIZED, "authentication_error", "unauthorized")
FORBIDDEN = Rule(HTTPStatus.FORBIDDEN, "permission_error", "forbidden")
HOST = Rule(HTTPStatus.FORBIDDEN, "permission_error", "host_not_allowed")
ORIGIN = Rule(HTTPStatus.FORBIDDEN, "permission_error", "origin_not_allowed")

LONGEST = 100
"""Characters of a header that an answer repeats."""

SEND = (
    "send the header `Authorization: Bearer TOKEN` or `X-Api-Key: TOKEN`, with the token of "
    "ORAC_ADMIN_TOKEN or ORAC_USER_TOKEN, else the one in the file that ORAC named at its start"
)


def without_token() -> Problem:
    """Return how it is told that a token is needed."""
    return _refused(UNAUTHORIZED, f"a token is needed here: {SEND}")


def of_token(*, several: bool) -> Problem:
    """Return how it is told that a token is not the right one, or that *several* differ."""
    if several:
        return _refused(UNAUTHORIZED, "the headers hold different tokens; send one of them")
    return _refused(UNAUTHORIZED, f"this is not the token: {SEND}")


def of_scope() -> Problem:
    """Return how it is told that a user's token is not enough."""
    return _refused(
        FORBIDDEN, "this changes what is served, and takes the token of an administrator"
    )


def of_host(host: str) -> Problem:
    """Return how it is told that the service is not called *host*."""
    return _refused(
        HOST,
        f"ORAC does not answer to the name {_shown(host)}; call it by its address, or add the name "
        "without its port to `allowed_hosts` in the table [server] of the manifest",
    )


def of_origin(origin: str | None) -> Problem:
    """Return how it is told that a page of *origin* may not ask; None where that is not known."""
    if origin is None:
        return _refused(ORIGIN, "pages of other sites may not ask ORAC to do anything")
    return _refused(
        ORIGIN,
        f"pages of {_shown(origin)} may not use ORAC; add that to `allowed_origins` in the table "
        "[server] of the manifest if they should",
    )


def _refused(rule: Rule, message: str) -> Problem:
    headers = {"WWW-Authenticate": REALM} if rule is UNAUTHORIZED else {}
    return Problem(rule.status, envelope(rule, message), headers)


def _shown(text: str) -> str:
    return ascii(text[:LONGEST])
