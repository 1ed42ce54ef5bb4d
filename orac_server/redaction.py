"""What may leave the machine: values and texts without secrets, prompts and names of homes (pure).

What stands under a key that may mean a secret is masked whatever it is. Of a URL only scheme,
host and port are left. What was masked in one place is masked wherever else it stands.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from attrs import frozen

MASK = "***"

LEAST = 4
"""Characters of a secret that is looked for in other places too."""

SECRET_KEY = re.compile(
    r"key|token|secret|passw|passphrase|pwd|credential|auth|bearer|cookie|private|signature|session"
    r"|jwt|salt|webhook|dsn|connectionstring|prompt|messages"
)
FIGURE_KEY = re.compile(r"[a-z]*tokens(persecond)?")
TEXT_KEYS = frozenset({"system", "template", "suffix"})
"""Keys under which more than one word is a prompt."""

NO_SECRETS = frozenset({"PWD", "OLDPWD"})

# Each part is bounded, so that no text can make the search take long.
WORD = r"(?:key|token|secret|passw|pwd|passphrase|credential|auth|bearer|cookie)[\w-]{0,20}"
URL = r"([A-Za-z][A-Za-z0-9+.-]{0,20})://([^\s'\"`<>)\]]*)"
ASSIGNED = rf"(?i)({WORD}['\"]?\s{{0,3}}[=:]\s{{0,3}})(?!\*\*\*)(\S+)"
USER = r"[^\s@/'\":]{1,100}:(?!//)[^\s@'\"]{0,200}@(?=[\w.\[-])"
RULES = (
    (re.compile(URL), lambda it: _place(it[1], it[2])),
    (re.compile(USER), lambda _: f"{MASK}@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+(\S+)"), lambda it: f"{it[1]} {MASK}"),
    (re.compile(ASSIGNED), lambda it: it[1] + MASK),
    (re.compile(rf"(?i)(--?[\w-]{{0,20}}{WORD}\s{{1,3}})(\S+)"), lambda it: it[1] + MASK),
    (re.compile(r"\b(?:sk|pk|rk|gsk|nvapi|glpat|xox[abprs])[-_][\w-]{8,}"), lambda _: MASK),
    (re.compile(r"\b(?:hf|gh[pousr]|github_pat)_\w{8,}"), lambda _: MASK),
    (re.compile(r"\b(?:AKIA[0-9A-Z]{12,}|AIza[\w-]{20,}|eyJ[\w-]{10,}[\w.-]*)"), lambda _: MASK),
)
"""What is masked in any text: patterns, each with what takes its place."""

HOMES = re.compile(
    r"(?:/var)?/home/[^/\s'\":;,]+|/Users/[^/\s'\":;,]+|(?<![\w.~-])/root\b(?![\w.-])"
)


@frozen
class Redaction:
    """Takes out of values and texts what is nobody's business.

    Attributes:
        secrets: What is masked wherever it stands.
        home: The home of the user, for which ``~`` is written; None when that is not known.
    """

    secrets: tuple[str, ...] = ()
    home: str | None = None

    @classmethod
    def of(cls, settings: object, environ: Mapping[str, str]) -> "Redaction":
        """Return the one for what a manifest, decoded, and an environment hold."""
        given = (value for name, value in environ.items() if _means_secret(name, value))
        known = {*secrets(settings), *given}
        longest_first = sorted((it for it in known if len(it) >= LEAST), key=len, reverse=True)
        home = environ.get("HOME", "").rstrip("/")
        return cls(tuple(longest_first), home or None)

    def value(self, value: object, key: str = "") -> Any:
        """Return *value*, which stands under *key*, in plain JSON values."""
        if value is None or isinstance(value, bool):
            return value
        if is_secret(key, value):
            return MASK
        match value:
            case Mapping():
                return {self.text(str(it)): self.value(each, str(it)) for it, each in value.items()}
            case list() | tuple() | set() | frozenset():
                return [MASK if hidden else self.value(each) for each, hidden in _items(value)]
            case int() | float():
                return value
            case _:
                return self.text(str(value))

    def text(self, text: str) -> str:
        """Return *text* without what is nobody's business."""
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        if self.home:
            text = re.sub(rf"{re.escape(self.home)}(?![\w.-])", "~", text)
        return _by_rules(text)


def is_secret(key: str, value: object) -> bool:
    """Whether what stands under *key* may be a secret, or what somebody asked a model."""
    if value in ("", None) or isinstance(value, bool):
        return False
    name = re.sub(r"[^a-z0-9]", "", key.lower())
    if FIGURE_KEY.fullmatch(name) and isinstance(value, int | float):
        return False
    if name in TEXT_KEYS:
        return isinstance(value, str) and len(value.split()) > 1
    return SECRET_KEY.search(name) is not None


def secrets(value: object, key: str = "") -> Iterator[str]:
    """Yield each text in *value* that is masked where it stands."""
    if is_secret(key, value):
        yield from _leaves(value)
        return
    match value:
        case Mapping():
            for name, each in value.items():
                yield from secrets(each, str(name))
        case list() | tuple():
            for each, hidden in _items(value):
                yield from _leaves(each) if hidden else secrets(each)
        case str():
            yield from _of_url(value)


def _means_secret(name: str, value: str) -> bool:
    return name not in NO_SECRETS and is_secret(name, value)


def _items(values: Iterable[object]) -> Iterator[tuple[object, bool]]:
    """Yield each of *values*, and whether it follows an option such as ``--api-key``."""
    hidden = False
    for each in values:
        yield each, hidden
        hidden = isinstance(each, str) and each.startswith("-") and is_secret(each, "x")


def _leaves(value: object) -> Iterator[str]:
    match value:
        case Mapping():
            for each in value.values():
                yield from _leaves(each)
        case list() | tuple():
            for each in value:
                yield from _leaves(each)
        case None | bool():
            pass
        case _:
            yield str(value)


def _of_url(text: str) -> Iterator[str]:
    before, at, place = text.rpartition("@")
    user = before.rpartition("://")[2]
    name, colon, password = user.partition(":")
    if at and colon:
        yield from _with_decoded(user, password)
    elif at and "://" in before:
        yield from _with_decoded(name)
    if "://" in text:
        pairs = re.split(r"[&;#]", place.partition("?")[2])
        yield from _with_decoded(*(each.rpartition("=")[2] for each in pairs))


def _with_decoded(*texts: str) -> Iterator[str]:
    for text in filter(None, texts):
        yield text
        yield unquote(text)


def _place(scheme: str, rest: str) -> str:
    """Return a URL without user, path and query: each of them may be a secret."""
    before, _, after = rest.rpartition("@")
    host = re.split(r"[/?#]", after, maxsplit=1)
    more = "/…" if len(host) > 1 and host[1] else ""
    return f"{scheme}://{f'{MASK}@' if before else ''}{host[0]}{more}"


@lru_cache(maxsize=4096)
def _by_rules(text: str) -> str:
    for pattern, replaced in RULES:
        text = pattern.sub(replaced, text)
    return HOMES.sub("~", text)
