"""The tools that a model may call, as OpenAI's clients send them."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, get_args

from attrs import frozen
from msgspec import Meta

from orac_core import Tool, Toolbox
from orac_core.conversation import ToolChoice

from ..schema import Open

FunctionName = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]


@frozen(kw_only=True)
class FunctionSpec(Open):
    """A function: its name, what it does, and the JSON schema of its arguments.

    Attributes:
        name: Letters, digits, `_` and `-`.
        description: What it does, for the model.
        parameters: JSON schema of its arguments.
    """

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None


@frozen(kw_only=True)
class FunctionTool(Open):
    """A tool that is a function; there are no others.

    Attributes:
        type: There are only functions.
        function: The function.
    """

    type: Literal["function"]
    function: FunctionSpec

    @property
    def tool(self) -> Tool:
        """The same for the library."""
        spec = self.function
        return Tool(spec.name, spec.description or "", spec.parameters or {})


@frozen(kw_only=True)
class FunctionNamed(Open):
    """Which function has to be called.

    Attributes:
        name: Its name.
    """

    name: FunctionName


@frozen(kw_only=True)
class NamedChoice(Open):
    """The choice of one tool that has to be called.

    Attributes:
        type: There are only functions.
        function: Which of them.
    """

    type: Literal["function"]
    function: FunctionNamed


Choice = ToolChoice | NamedChoice


def toolbox(
    tools: Sequence[FunctionTool] | None, choice: Choice | None, *, parallel: bool | None
) -> Toolbox | None:
    """Return the tools for the library; None when there are none."""
    if not tools:
        return None
    wanted = choice.function.name if isinstance(choice, NamedChoice) else choice or "auto"
    return Toolbox(tuple(each.tool for each in tools), wanted, parallel)


def faults(
    tools: Sequence[FunctionTool] | None, choice: Choice | None
) -> Iterator[tuple[str, str]]:
    """Yield the path and the message of each fault in what may be called."""
    names = [each.function.name for each in tools or ()]
    for number, name in enumerate(names):
        if name in names[:number]:
            yield f"tools.{number}.function.name", "another tool has this name already"
    if isinstance(choice, NamedChoice):
        yield from _choice_faults(choice.function.name, names)
    elif choice == "required" and not names:
        yield "tool_choice", "there are no `tools` to call"


def _choice_faults(name: str, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    if name not in names:
        yield "tool_choice.function.name", "none of the `tools` has this name"
    elif name in get_args(ToolChoice):
        yield "tool_choice.function.name", "a tool of this name can not be chosen; rename it"
