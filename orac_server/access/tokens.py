"""Tokens: what they look like, and which of them a request brings (pure).

Of a token nothing but its digest is kept. Digests have one length, so that comparing them in
constant time says nothing of a token, not even how long it is.
"""

import hashlib
import re
from collections.abc import Iterable
from hmac import compare_digest
from typing import Literal

from attrs import field, frozen

from orac_core import ConfigurationError

Right = Literal["user", "admin"]
"""What a token is good for; that of an administrator is good for everything."""

LEAST = 16
"""Characters that a token must have."""

_PRINTS = re.compile(r"[!-~]*")
_NOBODYS = bytes(hashlib.sha256().digest_size)


def checked(text: str, place: str) -> str:
    """Return *text* when it can be a token.

    Args:
        text: What was found.
        place: Where; the error names it, and never the text.

    Raises:
        ConfigurationError: when it can be none.
    """
    remedy = "make one with `python3 -c 'import secrets; print(secrets.token_urlsafe(32))'`"
    if not text:
        raise ConfigurationError(f"{place} is empty; {remedy}, or unset the variable")
    if not _PRINTS.fullmatch(text):
        raise ConfigurationError(
            f"{place} holds white space, control characters or letters beyond ASCII, which a "
            f"token must not; {remedy}"
        )
    if len(text) < LEAST:
        raise ConfigurationError(
            f"{place} is too short for a token, which has {LEAST} characters or more; {remedy}"
        )
    return text


@frozen
class Token:
    """A token that is known by its digest.

    Attributes:
        digest: SHA-256 of it.
        place: Where it is found, in words that never hold it: ``the file /…/admin-token``.
        made: Whether it was made just now.
    """

    digest: bytes = field(repr=False)
    place: str
    made: bool = False

    @classmethod
    def of(cls, text: str, place: str, *, made: bool = False) -> "Token":
        """Return the one that *text* is."""
        return cls(_digest(text), place, made)


@frozen
class Tokens:
    """The tokens that are taken.

    Attributes:
        admin: Good for everything.
        user: Good for what changes nothing; None when there is none.
    """

    admin: Token
    user: Token | None = None

    def right(self, text: str) -> Right | None:
        """Return what *text* is good for; None when it is no token. Every text takes as long."""
        digest = _digest(text)
        admin = compare_digest(digest, self.admin.digest)
        user = compare_digest(digest, self.user.digest if self.user else _NOBODYS)
        return "admin" if admin else "user" if user else None


def brought(authorizations: Iterable[str], keys: Iterable[str]) -> frozenset[str]:
    """Return the tokens that the headers of a request hold; more than one is a contradiction.

    Args:
        authorizations: Every ``Authorization``; another scheme than ``Bearer`` brings an empty one.
        keys: Every ``X-Api-Key``.
    """
    return frozenset((*map(_bearer, authorizations), *(each.strip() for each in keys)))


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _digest(text: str) -> bytes:
    # aiohttp hands over what is no UTF-8 as surrogates; those must not raise here.
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
