"""How a function of the user's is called with a request, found out from its signature. Pure."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from attrs import fields, frozen

from orac_core import GenerateOptions, GenerateRequest, InvalidRequest

from .._options import checked_fields
from .._request import check, empty_prompt
from .._tools import speaks_of_tools

OPTIONS = tuple(each.name for each in fields(GenerateOptions))
SOURCES = ("request", "prompt", "messages")
"""Names of parameters, of which one at least gets what is to be answered."""

KNOWN = (*SOURCES, "format", *OPTIONS)

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_TOKENS = 16 << 20


@frozen
class Calling:
    """How to call a function.

    Attributes:
        function: It.
        names: The parameters that get what they are named for.
        needed: Those of them that have no default.
        by_place: Whether its first argument, whatever it is called, is the text to answer.
        takes_all: Whether it takes every option that a request sets.
    """

    function: Callable[..., Any]
    names: frozenset[str]
    needed: frozenset[str]
    by_place: bool = False
    takes_all: bool = False

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "Calling":
        """Return how to call *function*.

        Raises:
            TypeError: when it takes no text, or needs what no request has.
        """
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except ValueError:  # some that are written in C do not tell
            return cls(function, frozenset(), frozenset(), by_place=True)
        named = [each for each in parameters if each.kind in _NAMED and each.name in KNOWN]
        first = None if any(it.name in SOURCES for it in named) else _first(parameters)
        told = [each for each in named if each is not first]
        _require_no_more(each for each in parameters if each not in told and each is not first)
        names = frozenset(each.name for each in told)
        if first is None and not names & {*SOURCES}:
            raise TypeError("it takes no `prompt`, no `messages` and no `request`")
        needed = frozenset(each.name for each in told if each.default is each.empty)
        takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters)
        return cls(function, names, needed, first is not None, takes_all)

    @property
    def takes_turns(self) -> bool:
        """Whether it gets a conversation as such, and not only its text."""
        return bool(self.names & {"request", "messages"})

    def takes(self, name: str) -> bool:
        """Whether it gets what a request says under that name."""
        return "request" in self.names or name in self.names or self.takes_all

    def refuse(self, request: GenerateRequest) -> None:
        """Return when it can be asked that.

        Raises:
            InvalidRequest: when the request makes no sense, or wants what it can not do.
        """
        checked_fields(request.options, _TOKENS)
        check(request)
        if request.prompt is None and not text_of(request):
            raise empty_prompt()
        if speaks_of_tools(request):
            raise _lacks(request.model, "tools")
        if request.format is not None and not self.takes("format"):
            raise _lacks(request.model, "format")

    def bound(self, request: GenerateRequest) -> "partial[Any]":
        """Return the call that answers *request*."""
        given = _values(request)
        wanted = {name: given[name] for name in self.names if given[name] is not None}
        if self.takes_all:
            wanted |= _set(given)
        wanted |= {name: given[name] for name in self.needed}
        text = (text_of(request),) if self.by_place else ()
        return partial(self.function, *text, **wanted)


def text_of(request: GenerateRequest) -> str:
    """Return what is to be answered as one text: of a conversation what is said, in paragraphs."""
    if request.prompt is not None:
        return request.prompt
    return "\n\n".join(message.content for message in request.messages)


def _first(parameters: list[inspect.Parameter]) -> inspect.Parameter | None:
    """Return the parameter that gets the text by its place."""
    for each in parameters:
        if each.kind is each.VAR_POSITIONAL:
            return each
        if each.kind in _BY_PLACE and (each.kind is each.POSITIONAL_ONLY or each.name not in KNOWN):
            return each
        if each.kind in _BY_PLACE:
            return None  # an option stands before it
    return None


def _require_no_more(others: Any) -> None:
    for each in others:
        some = each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        if not some and each.default is each.empty:
            raise TypeError(f"it needs `{each.name}`, which no request has")


def _values(request: GenerateRequest) -> dict[str, Any]:
    """Return what there is for each parameter that is known; None for what is not said."""
    messages = request.messages
    turns = [{"role": each.role, "content": each.content} for each in messages]
    said: dict[str, Any] = {
        "request": request,
        "prompt": text_of(request),
        "messages": turns or [{"role": "user", "content": text_of(request)}],
        "format": request.format,
    }
    options = {name: getattr(request.options, name) for name in OPTIONS}
    return said | options | {"stop": list(request.options.stop) or None}


def _set(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are set."""
    names = ("format", *OPTIONS)
    return {name: given[name] for name in names if given[name] is not None}


def _lacks(model: str, what: str) -> InvalidRequest:
    return InvalidRequest(
        f"{model} knows no {what}: its function has no place for that",
        {what: "not known to this model"},
    )
