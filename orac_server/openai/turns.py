"""The turns of a conversation, as OpenAI's clients send them."""

from collections.abc import Iterator
from typing import Literal

from attrs import frozen

from orac_core import Message, ToolCall

from ..schema import Open

NOT_TEXT = "only `text` is read here: no images, sound or files"


@frozen(kw_only=True)
class ContentPart(Open):
    """A part of what is said.

    Attributes:
        type: `text`; images, sound and files are refused.
        text: The text.
    """

    type: str
    text: str | None = None


@frozen(kw_only=True)
class CalledFunction(Open):
    """The function that was called, and with what.

    Attributes:
        name: Of the function.
        arguments: What it was called with, in JSON.
    """

    name: str
    arguments: str


@frozen(kw_only=True)
class Call(Open):
    """A call that an assistant asked for.

    Attributes:
        id: Tells it from the other calls.
        type: There are only functions.
        function: What was called.
    """

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


@frozen(kw_only=True)
class ChatTurn(Open):
    """One turn: its content is text, or parts that are; ``developer`` is another ``system``.

    Attributes:
        role: Who says it; `developer` is the same as `system`, and `function` is refused.
        content: What is said, as text or as parts, which become lines; only an assistant with
            `tool_calls` may leave it out.
        tool_calls: The calls that an assistant asked for.
        tool_call_id: Of a `tool`: the call that its content is the result of.
    """

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | tuple[ContentPart, ...] | None = None
    tool_calls: tuple[Call, ...] | None = None
    tool_call_id: str | None = None

    @property
    def message(self) -> Message:
        """The same for the library; parts stand on lines of their own."""
        calls = tuple(
            ToolCall(each.id, each.function.name, each.function.arguments)
            for each in self.tool_calls or ()
        )
        role = "system" if self.role == "developer" else self.role
        return Message(role, self._text(), calls, self.tool_call_id)

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the path inside of the turn and the message of each fault."""
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            yield "content", "is missing"
        if self.role == "tool" and self.tool_call_id is None:
            yield "tool_call_id", "is missing: whose result is this?"
        if self.role != "assistant" and self.tool_calls:
            yield "tool_calls", "only an assistant calls tools"
        if isinstance(self.content, tuple):
            for number, part in enumerate(self.content):
                yield from _part_faults(f"content.{number}", part)

    def _text(self) -> str:
        if isinstance(self.content, tuple):
            return "\n".join(part.text or "" for part in self.content)
        return self.content or ""


def _part_faults(path: str, part: ContentPart) -> Iterator[tuple[str, str]]:
    if part.type != "text":
        yield f"{path}.type", NOT_TEXT
    elif part.text is None:
        yield f"{path}.text", "is missing"
