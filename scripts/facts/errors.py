"""Errors: the classes of the library, with what they are over HTTP, and those of HTTP itself."""

from collections.abc import Iterable

import orac_core
from orac_core import OracError
from orac_server.access.refusals import FORBIDDEN, HOST, ORIGIN, UNAUTHORIZED
from orac_server.connection import UNREADABLE
from orac_server.errors import CLIENT, CODES, INTERNAL, RULES, Rule
from orac_server.openapi.refusals import MEANINGS

from .docstrings import told
from .markdown import code, table


def sections() -> dict[str, str]:
    """Return a table of the classes, one of who may not ask, and one of HTTP itself."""
    http = [UNREADABLE, *(Rule(status, CLIENT, name) for status, name in CODES.items()), INTERNAL]
    return {
        "classes": table(("class", "status", "code", "meaning"), map(_row, _classes())),
        "access": _codes((UNAUTHORIZED, FORBIDDEN, HOST, ORIGIN)),
        "http": _codes(http),
    }


def _classes() -> list[type[OracError]]:
    """Return the classes in the order of their status, those that never get out last."""
    public = (getattr(orac_core, name) for name in orac_core.__all__)
    found = [it for it in public if isinstance(it, type) and issubclass(it, OracError)]
    known = {cls: place for place, cls in enumerate(RULES)}
    return sorted(set(found) - {OracError}, key=lambda it: known.get(it, len(known)))


def _row(cls: type[OracError]) -> tuple[str, ...]:
    rule = RULES.get(cls)
    over_http = (str(rule.status), code(rule.code)) if rule else ("", "")
    return (code(cls.__name__), *over_http, told(cls))


def _codes(rules: Iterable[Rule]) -> str:
    rows = ((str(int(it.status)), code(it.code), MEANINGS[it.code]) for it in rules)
    return table(("status", "code", "meaning"), rows)
