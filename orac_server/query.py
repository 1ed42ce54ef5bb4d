"""Queries: what stands behind the ``?`` of an address, checked as bodies are."""

import re
from collections.abc import Hashable, Mapping
from typing import TypeVar, cast

from aiohttp import web

from . import schema

T = TypeVar("T")

WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)
FLAGS = {"true": True, "false": False}


def query(request: web.Request, cls: type[T]) -> T:
    """Return the query of *request* as the wire type *cls*; of a key given twice the last holds.

    Raises:
        InvalidRequest: naming every fault by its parameter, also one that is not known.
    """
    kinds = _kinds(cast("Hashable", cls), cls.__name__)
    given = {name: _value(text, kinds.get(name)) for name, text in request.query.items()}
    return schema.structure(given, cls)


def _kinds(cls: Hashable, name: str) -> Mapping[str, set[str]]:
    """Return of which types of JSON each parameter may be."""
    properties = schema.document(cls)["$defs"][name]["properties"]
    return {
        key: {each.get("type", "") for each in found.get("anyOf", [found])}
        for key, found in properties.items()
    }


def _value(text: str, kinds: set[str] | None) -> object:
    """Return *text* as what it has to be; as it is where it is not that."""
    kinds = kinds or set()
    if "integer" in kinds and WHOLE.fullmatch(text):
        return int(text)
    return FLAGS.get(text, text) if "boolean" in kinds else text
