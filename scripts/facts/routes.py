"""The routes, who may ask them, and what each takes in its body and its query."""

from collections.abc import Iterator

from orac_server.endpoint import Endpoint
from orac_server.openapi.components import bodies
from orac_server.openapi.operation import Operation
from orac_server.openapi.operations import OPERATIONS
from orac_server.openapi.specification import line
from orac_server.routes import endpoints
from orac_server.wire import Json

from .markdown import code, table
from .schemas import parameters

HEADS = ("key", "type", "default", "meaning")


def sections() -> dict[str, str]:
    """Return a table of the routes, and one of what each takes that takes anything."""
    known = {line(each): each for each in endpoints() if not each.part}
    taking = {name: takes(it) for name, it in OPERATIONS.items() if it.body or it.query}
    return {
        "": table(("route", "token", "what"), [_row(known[name]) for name in OPERATIONS]),
        **taking,
    }


def takes(operation: Operation) -> str:
    """Return a table of the keys of a body, or of the parameters of a query.

    Of a body that is another one with more in it, only what is more.
    """
    cls = operation.body.type if operation.body else operation.query
    schemas = bodies([cls])
    schema = schemas[cls.__name__]
    for base, known in _less(operation):
        own = {name: it for name, it in schema["properties"].items() if name not in known}
        rows = parameters({**schema, "properties": own}, schemas)
        return f"What {code(base)} takes, and:\n\n{table(HEADS, rows)}"
    return table(HEADS, parameters(schema, schemas))


def _less(operation: Operation) -> Iterator[tuple[str, Json]]:
    """Yield the routes whose body that of *operation* is, with something more."""
    for name, other in OPERATIONS.items():
        if operation.body and other.body and other.body.type in operation.body.type.__mro__[1:]:
            cls = other.body.type
            yield name, bodies([cls])[cls.__name__]["properties"]


def _row(endpoint: Endpoint) -> tuple[str, ...]:
    who = {"open": "", "user": "user", "admin": "administrator"}[endpoint.scope]
    return code(line(endpoint)), who, OPERATIONS[line(endpoint)].summary
