"""What others may build on: the public rooms, and that each is whole and named in the docs."""

import ast
import inspect
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import get_args, get_type_hints

import pytest

import orac_core
from tests.test_layers import ROOT

PAGE = ROOT / "docs" / "reference" / "stability.md"
KEPT = Path(__file__).parent / "data" / "public.json"
ROOMS = (
    "orac_core",
    "orac_core.benchmark",
    "orac_core.benchmark.quality",
    "orac_core.devices",
    "orac_core.doctor",
    "orac_core.files",
    "orac_core.manifest",
    "orac_core.memory",
    "orac_core.testing",
)
INSIDE = {
    "Limits.sparing",
    "ModelFiles.digests",
    "ModelManager.backends",
    "ModelManager.breaker",
    "ModelManager.census",
    "ModelManager.clinic",
    "ModelManager.events",
    "ModelManager.names",
    "ModelManager.provisioning",
    "ModelManager.required",
    "ModelManager.watch",
}
"""Attributes that are there for ORAC's own service."""


def names(room: str) -> list[str]:
    return list(import_module(room).__all__)


def test_the_page_lists_the_public_rooms():
    assert tuple(re.findall(r"^\| `(orac_core[.\w]*)` \|", PAGE.read_text(), re.MULTILINE)) == ROOMS


def test_the_page_lists_what_is_not_public_of_a_public_class():
    listed = PAGE.read_text().partition("## Not promised")[2]
    assert set(re.findall(r"`([A-Z]\w+\.\w+)`", listed)) == INSIDE


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_exports_what_it_imports_for_others_and_nothing_else(room):
    tree = ast.parse(Path(import_module(room).__file__).read_text())
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    assert set(names(room)) == imported


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_class_and_function_says_what_it_is(room):
    public = {name: getattr(import_module(room), name) for name in names(room)}
    described = {name: it for name, it in public.items() if isinstance(it, type | FunctionType)}
    assert [name for name, it in described.items() if not inspect.getdoc(it)] == []


@pytest.mark.parametrize("room", ROOMS)
def test_what_was_public_still_is(room):
    """After a release ``tests/data/public.json`` holds its names; those that go need a warning."""
    gone = set(json.loads(KEPT.read_text())[room]) - set(names(room))
    assert gone == set(), "docs/reference/stability.md says how a public name goes"


def test_every_type_that_a_public_one_mentions_can_be_imported_from_a_public_room():
    public = {id(getattr(import_module(room), name)) for room in ROOMS for name in names(room)}
    lacking = {
        f"{where}: {part.__module__}.{part.__name__}"
        for name in orac_core.__all__
        for where, hint in mentioned(name, getattr(orac_core, name))
        for part in parts(hint)
        if isinstance(part, type) and part.__module__.startswith("orac_core")
        if id(part) not in public and where not in INSIDE
    }
    assert lacking == set()


def mentioned(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield every type that stands at a public attribute or method, with its place."""
    if isinstance(value, FunctionType):
        yield from ((name, hint) for hint in hints(value))
    elif isinstance(value, type) and value.__module__.startswith("orac_core"):
        shown = {key: it for key, it in get_type_hints(value).items() if not key.startswith("_")}
        yield from ((f"{name}.{key}", hint) for key, hint in shown.items())
        for key, method in methods(value):
            yield from ((f"{name}.{key}", hint) for hint in hints(method))


def methods(value: type) -> Iterator[tuple[str, FunctionType]]:
    for key, it in vars(value).items():
        method = getattr(it, "__func__", None) or getattr(it, "fget", None) or it
        if not key.startswith("_") and isinstance(method, FunctionType):
            yield key, method


def hints(function: FunctionType) -> Iterator[object]:
    yield from get_type_hints(inspect.unwrap(function)).values()


def parts(hint: object) -> Iterator[object]:
    yield hint
    for each in hint if isinstance(hint, list) else get_args(hint):
        yield from parts(each)
