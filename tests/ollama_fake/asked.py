"""What a client asks a model for, by either of the two endpoints that generate."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self

from attrs import frozen

from .model import COMPLETION, INSERT, THINKING, TOOLS, VISION, Model
from .names import Name, quoted
from .refusal import Refusal
from .text import BadSchema, json_after
from .when import keep_alive


@frozen
class Asked:
    """One request, checked as far as that goes without the model."""

    verb: str
    model: str
    name: Name | None
    prompt: str
    system: str
    images: tuple[Any, ...]
    suffix: str
    raw: bool
    stream: bool
    truncate: bool
    think: Any
    tools: tuple[Any, ...]
    format: Any
    options: Mapping[str, Any]
    keeps: timedelta | None
    logprobs: int | None

    @classmethod
    def of(cls, verb: str, body: Mapping[str, Any]) -> Self:
        messages = body.get("messages") or []
        model = body.get("model") or ""
        return cls(
            verb=verb,
            model=model,
            name=Name.of(model),
            prompt=_conversation(messages) if verb == "chat" else body.get("prompt") or "",
            system=body.get("system") or "",
            images=tuple(body.get("images") or _images(messages)),
            suffix=body.get("suffix") or "",
            raw=bool(body.get("raw")),
            stream=body.get("stream") is not False,
            truncate=body.get("truncate") is not False,
            think=body.get("think"),
            tools=tuple(body.get("tools") or ()),
            format=body.get("format"),
            options=body.get("options") or {},
            keeps=keep_alive(body.get("keep_alive")),
            logprobs=body.get("top_logprobs", 0) if body.get("logprobs") else None,
        )

    @property
    def unloads(self) -> bool:
        return not self.prompt and self.keeps is not None and not self.keeps

    def thinks(self, model: Model) -> bool:
        return THINKING in model.capabilities and self.think is not False

    def refuse_incapable(self, name: Name, model: Model) -> None:
        """Refuse what the model is not made for."""
        has = model.capabilities
        if COMPLETION not in has:
            raise Refusal(400, f"{quoted(self.model)} does not support {self.verb}")
        if self.suffix and INSERT not in has:
            raise Refusal(400, f"{name.full} does not support insert")
        if self.tools and TOOLS not in has:
            raise Refusal(400, f"{name.full} does not support tools")
        if self.think and THINKING not in has:
            raise Refusal(400, f"{quoted(self.model)} does not support thinking")

    def shows_images_to(self, model: Model) -> bool:
        """Whether there are images and the model is blind."""
        return bool(self.images) and VISION not in model.capabilities

    def json(self) -> str | None:
        """Return the JSON that is asked for; None when none is.

        Raises:
            Refusal: What is asked for is no format.
            BadSchema: It is a schema, but not a good one.
        """
        if self.format in (None, ""):
            return None
        if self.format == "json":
            return json.dumps({"answer": "left"})
        if isinstance(self.format, dict):
            return json_after(self.format)
        written = quoted(json.dumps(self.format))
        wanted = 'expected "json" or a valid JSON Schema object'
        raise Refusal(500, f"invalid format: {written}; {wanted}")


def _conversation(messages: list) -> str:
    return "\n".join(str(message.get("content") or "") for message in messages) if messages else ""


def _images(messages: list) -> list:
    return [image for message in messages for image in message.get("images") or ()]


__all__ = ["Asked", "BadSchema"]
