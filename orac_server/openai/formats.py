"""The format that an answer has to have, as OpenAI's clients ask for it."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from attrs import frozen
from msgspec import Meta

from ..schema import Open


@frozen(kw_only=True)
class NamedSchema(Open):
    """A JSON schema; answers keep to it whether or not it is called strict.

    Attributes:
        name: Letters, digits, `_` and `-`.
        schema: The JSON schema.
        description: What it is for; passed over.
        strict: Passed over: the engine is held to the schema also without it.
    """

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


@frozen(kw_only=True)
class ResponseFormat(Open):
    """Text, any JSON object, or JSON of a schema.

    Attributes:
        type: Which of these.
        json_schema: The schema, for `json_schema`.
    """

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    @property
    def wanted(self) -> Literal["json"] | dict[str, Any] | None:
        """The same for the library; None for text."""
        if self.type == "json_schema" and self.json_schema:
            return self.json_schema.schema
        return "json" if self.type == "json_object" else None

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the path and the message of each fault."""
        if self.type == "json_schema" and self.json_schema is None:
            yield "response_format.json_schema", "is missing"
