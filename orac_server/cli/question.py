"""What `orac prompt` asks, as the HTTP interface and as the library want it."""

from collections.abc import Mapping
from typing import Any, Literal

from attrs import asdict, field, frozen

from orac_core import GenerateOptions, GenerateRequest, Message
from orac_core.durations import keep_alive


@frozen
class Question:
    """One question to a model.

    Attributes:
        model: Name of the model.
        text: What to answer.
        system: How to answer.
        format: ``"json"``, or a JSON schema that the answer has to satisfy.
        options: How to sample; None leaves the choice to the model.
        keep_alive: How long the model then stays loaded without being used; None leaves that as
            it is.
    """

    model: str
    text: str
    system: str | None = None
    format: Literal["json"] | Mapping[str, Any] | None = None
    options: GenerateOptions = field(factory=GenerateOptions)
    keep_alive: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The body of ``POST /v1/prompt``."""
        said = {
            "system": self.system,
            "format": self.format,
            "options": self._options or None,
            "keep_alive": self.keep_alive,
        }
        known = {name: value for name, value in said.items() if value is not None}
        return {"model": self.model, "prompt": self.text, **known}

    @property
    def request(self) -> GenerateRequest:
        """The same for the library."""
        system = (Message("system", self.system),) if self.system else ()
        return GenerateRequest(
            self.model,
            (*system, Message("user", self.text)),
            format=self.format,
            options=self.options,
            keep_alive_s=None if self.keep_alive is None else keep_alive(self.keep_alive),
        )

    @property
    def _options(self) -> dict[str, Any]:
        options = asdict(self.options)
        return {name: value for name, value in options.items() if value not in (None, ())}
