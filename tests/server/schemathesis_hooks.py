"""What schemathesis has to know that no schema can tell; it imports this by its environment."""

import os
import re

import schemathesis

from orac_core import InvalidRequest
from orac_core.serving import formats
from orac_server.benches import PRESET

ENOUGH = 2
MOST = {"rounds": 1000, "missions": 100_000, "cycles": 50}
"""Of what takes long and shows nothing else, how much is possible."""

NAMED_LIKE_ACTIONS = "Undocumented methods advertised: GET\n"
ACTIONS = tuple(
    f"/v1/models/{it}" for it in ("load", "unload", "provision", "{id}/load", "{id}/unload")
)
"""Paths that are also those of models, whose ids may end so."""

TOOL = re.compile("[A-Za-z0-9_-]{1,64}")


@schemathesis.hook
def before_load_schema(_context, raw_schema):
    """Say that tokens are needed, where the environment has one: without, each may be left out."""
    if "ORAC_ADMIN_TOKEN" in os.environ:
        for methods in raw_schema["paths"].values():
            for operation in methods.values():
                operation["security"] = [each for each in operation["security"] if each]


@schemathesis.hook
def map_case(context, case):
    """Ask for little, and of what may not be loaded by its name."""
    if isinstance(case.body, dict):
        case.body.update({name: ENOUGH for name in MOST if is_much(case.body.get(name), name)})
        if case.body.get("experiment") is True and case.body.get("cycles") is None:
            case.body["cycles"] = 1
        if context.operation.label == "POST /v1/benchmark":
            make_small(case.body)
        if context.operation.label == "POST /v1/chat/completions":
            tell_apart(case.body)
            wanted = found_in(case.body, "response_format")
            make_usable(found_in(wanted, "json_schema"), "schema")
        if context.operation.label == "POST /v1/prompt":
            make_usable(case.body, "format")
    return case


def make_small(body):
    body.setdefault("rounds", 1)
    body.setdefault("missions", 1)
    if body.get("energy") is True:
        body["energy"] = False
    if body.get("models") in (None, []):
        body["models"] = ["orac-robot"]
    presets = body.get("presets")
    if isinstance(presets, list) and 0 < len(presets) <= 16 and all(map(is_preset, presets)):
        body["presets"] = ["pp16+tg4"]


def tell_apart(body):
    """Give each tool a name of its own, and choose one that is there."""
    tools = body.get("tools")
    names = [named(each) for each in tools] if isinstance(tools, list) else []
    for number, found in enumerate(names):
        if found is not None:
            found["name"] = f"tool-{number}"
    chosen = named(body.get("tool_choice"))
    if chosen is not None and names and names[0] is not None:
        chosen["name"] = names[0]["name"]


def make_usable(body, field):
    """Put a schema that allows anything in the place of one that is none."""
    if isinstance(wanted := body.get(field), dict):
        try:
            formats.check(wanted)
        except InvalidRequest:
            body[field] = {}


def named(tool):
    """Return the function of what has a name that may be exchanged; None of anything else."""
    function = found_in(tool, "function")
    name = function.get("name")
    return function if isinstance(name, str) and TOOL.fullmatch(name) else None


def found_in(whole, field):
    """Return the object that stands there; an empty one where there is none."""
    found = whole.get(field) if isinstance(whole, dict) else None
    return found if isinstance(found, dict) else {}


def is_preset(value):
    return isinstance(value, str) and re.fullmatch(PRESET, value)


def is_much(value, name):
    whole = type(value) is int or (type(value) is float and value.is_integer())
    return whole and ENOUGH < value <= MOST[name]


@schemathesis.hook
def filter_case(_context, case):
    """Leave out a comparison in a form that there is only of a report: two parameters at odds."""
    query = case.query or {}
    return "against" not in query or query.get("format", "json") in ("json", "markdown")


@schemathesis.hook
def filter_failure(_context, failure, case, _response):
    """Let GET be allowed where something is done, too: a model may be called that."""
    return not (case.operation.path in ACTIONS and NAMED_LIKE_ACTIONS in failure.message)
