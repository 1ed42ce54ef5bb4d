"""The events of `GET /v1/events`, out of their types."""

from typing import Any

from orac_server.openapi.components import answers
from orac_server.openapi.operations import OPERATIONS
from orac_server.wire import Json

from .markdown import code, table

LINE = "GET /v1/events"
REFERENCE = "#/components/schemas/"


def sections() -> dict[str, str]:
    """Return a table of the events, with all that is told of each."""
    kinds = OPERATIONS[LINE].events
    schemas = answers(kinds.values())
    rows = [
        (code(name), schemas[cls.__name__]["description"], data(schemas[cls.__name__], schemas))
        for name, cls in kinds.items()
    ]
    return {"": table(("event", "when", "data"), rows)}


def data(schema: Json, schemas: Json) -> str:
    """Return the names of what an event tells beside when it was, with those within them."""
    names = (name for name in schema["properties"] if name != "at")
    return ", ".join(_named(name, schema["properties"][name], schemas) for name in names)


def _named(name: str, found: Any, schemas: Json) -> str:
    within = schemas.get(referred(found), {}).get("properties", ())
    return f"{code(name)} ({', '.join(map(code, within))})" if within else code(name)


def referred(found: Any) -> str:
    """Return the name of the component that a schema leads to, itself or by its items."""
    for each in (found, found.get("items", {}), *found.get("anyOf", ())):
        if "$ref" in each:
            return str(each["$ref"]).removeprefix(REFERENCE)
    return ""
