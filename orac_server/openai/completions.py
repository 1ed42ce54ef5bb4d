"""The body of a completion: text to go on with, without roles."""

from collections.abc import Iterator
from typing import Annotated, Any

from attrs import frozen
from msgspec import Meta

from orac_core import GenerateRequest

from .. import schema
from .sampling import ONE_ANSWER, TOKENS, Likeliest, Sampling, texts

PromptText = Annotated[str, Meta(min_length=1)]
Prompts = Annotated[tuple[PromptText | int | tuple[int, ...], ...], Meta(min_length=1)]


@frozen(kw_only=True)
class CompletionBody(Sampling):
    """The body of ``POST /v1/completions``; numbers of tokens are known only to be refused.

    Attributes:
        prompt: The text to go on with, as it is: no chat template. A list may have one; tokens as
            numbers are refused.
        logprobs: Tells how likely each token was, with so many others.
        best_of: Number of tries; more than one is refused.
        echo: Refused when true.
        suffix: Refused.
    """

    prompt: PromptText | Prompts
    logprobs: Likeliest | None = None
    best_of: Annotated[int, Meta(ge=1, le=128)] | None = None
    echo: bool | None = None
    suffix: Any = None

    @property
    def request(self) -> GenerateRequest:
        """What to go on with, for the library.

        Raises:
            InvalidRequest: naming every fault that the schema can not tell.
        """
        schema.refuse(self._faults())
        prompts = texts(self.prompt)
        return GenerateRequest(
            self.model,
            prompt=prompts[0] if prompts else None,
            options=self.options(self.max_tokens),
            keep_alive_s=self.keep_alive_s,
            top_logprobs=self.logprobs,
        )

    def _faults(self) -> Iterator[tuple[str, str]]:
        yield from self.refused()
        if not (prompts := texts(self.prompt)):
            yield "prompt", TOKENS
        elif len(prompts) > 1:
            yield "prompt", "one prompt is answered at a time; ask for each by itself"
        if (self.best_of or 1) > 1:
            yield "best_of", ONE_ANSWER
        if self.orac.repair:
            yield "orac.repair", "only the answers of a chat can be repaired"
