"""How long a conversation may be."""

from collections.abc import Iterable

from orac_core import GenerateRequest, InvalidRequest, Message


def refuse_longer(request: GenerateRequest, most: int, path: str) -> None:
    """Refuse a *request* that has more than *most* characters, all of its messages together.

    Args:
        request: What is asked.
        most: Characters, as ``max_prompt_chars`` of the manifest allows.
        path: Where the body of the request has its messages.

    Raises:
        InvalidRequest: when they have more, naming *path*.
    """
    if (count := chars(request.messages) + len(request.prompt or "")) > most:
        fault = f"has {count} characters with all that goes before it, and may have {most}"
        hint = "shorten it, or raise server.max_prompt_chars"
        raise InvalidRequest(f"{path}: {fault}; {hint}", {path: fault})


def chars(messages: Iterable[Message]) -> int:
    """Return the characters of *messages*, with those of the calls of tools."""
    return sum(
        len(each.content) + sum(len(call.name) + len(call.arguments) for call in each.tool_calls)
        for each in messages
    )
