"""Does the model call the right tool with the right arguments?"""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import Attribute, field, frozen
from attrs.validators import min_len

from .json_text import NotJson, read_loosely, same
from .outcome import Mark, Outcome
from .schemas import a_schema, fault


@frozen
class Tool:
    """Something that the model may call.

    Attributes:
        name: By which it is called.
        description: What it does, for the model.
        parameters: JSON Schema of its arguments.
    """

    name: str = field(validator=min_len(1))
    description: str = field(validator=min_len(1))
    parameters: Mapping[str, Any] = field(factory=lambda: {"type": "object"}, validator=a_schema)

    @property
    def line(self) -> str:
        """The tool as it is described to the model."""
        return f"- {self.name}: {self.description} Arguments: {_compact(self.parameters)}"


def _unlike_each_other(_: object, __: "Attribute[Any]", tools: tuple[Tool, ...]) -> None:
    if len({tool.name for tool in tools}) < len(tools):
        raise ValueError("two tools have the same name; give each its own")


@frozen
class ToolCallCheck:
    """The answer is one call, ``{"name": …, "arguments": {…}}``, of the right tool.

    The tools are described in the system message: backends have no other way to be told of them.
    A code block around the call is forgiven, as ``json_validity`` counts that already.

    Attributes:
        tools: All that the model may call.
        name: The one that is right.
        arguments: What it has to be called with, all of it and nothing else.
    """

    parts: ClassVar[tuple[str, ...]] = (
        "tool_name",
        "tool_arguments_valid",
        "tool_arguments_equal",
    )

    tools: tuple[Tool, ...] = field(validator=[min_len(1), _unlike_each_other])
    name: str
    arguments: Mapping[str, Any] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        problem = self._misuse(self.name, self.arguments)
        if problem:
            raise ValueError(f"the call that is to be right is not: {problem}")

    @property
    def briefing(self) -> str:
        """The tools, and how to call one."""
        tools = "\n".join(tool.line for tool in self.tools)
        return (
            f"You can call these tools:\n{tools}\n"
            "Answer with exactly one call, as JSON and nothing else: "
            '{"name": "tool name", "arguments": {"argument": "value"}}'
        )

    def outcome(self, text: str) -> Outcome:
        """Return how *text* does."""
        try:
            call = read_loosely(text)
        except NotJson as error:
            return self._marked((False, False, False), str(error))
        if not isinstance(call, dict):
            return self._marked((False, False, False), "the call is no object")
        return self._judged(call.get("name"), call.get("arguments"))

    def _judged(self, name: Any, arguments: Any) -> Outcome:
        right = bool(name == self.name)
        misuse = self._misuse(name, arguments)
        equal = right and misuse is None and same(arguments, self.arguments)
        problem = None if equal else misuse or self._difference(name, arguments)
        return self._marked((right, misuse is None, equal), problem)

    def _marked(self, hits: tuple[bool, bool, bool], problem: str | None) -> Outcome:
        marks = zip(self.parts, hits, strict=True)
        return Outcome(tuple(Mark(part, hit) for part, hit in marks), problem)

    def _misuse(self, name: Any, arguments: Any) -> str | None:
        """Return what the tool of that name has against the arguments; None for nothing."""
        tool = next((tool for tool in self.tools if tool.name == name), None)
        if tool is None:
            return f"there is no tool {_compact(name)[:60]}"
        if not isinstance(arguments, Mapping):
            return "the arguments are no object"
        return fault(tool.parameters, dict(arguments))

    def _difference(self, name: str, arguments: Mapping[str, Any]) -> str:
        if name != self.name:
            return f"called {name} where {self.name} is right"
        return f"called with {_compact(arguments)[:120]} where {_compact(self.arguments)} is right"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
