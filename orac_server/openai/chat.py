"""The body of a chat."""

from collections.abc import Iterator
from typing import Annotated, Any

from attrs import frozen
from msgspec import Meta

from orac_core import GenerateRequest

from .. import schema
from ..requests import Tokens
from . import tools
from .formats import ResponseFormat
from .sampling import Likeliest, Sampling
from .tools import Choice, FunctionTool
from .turns import ChatTurn


@frozen(kw_only=True)
class ChatBody(Sampling):
    """The body of ``POST /v1/chat/completions``.

    Attributes:
        messages: The conversation.
        max_completion_tokens: The newer name of `max_tokens`; it counts where both are given.
        tools: The functions that may be called, each name once; `strict` is passed over.
        tool_choice: Whether to call one, or the function that has to be called.
        parallel_tool_calls: Whether there may be several calls in one answer.
        response_format: What the answer has to be.
        logprobs: Whether to tell how likely each token was; null where the engine does not tell.
        top_logprobs: How many of the likeliest tokens to tell at each place.
        modalities: Only `["text"]`.
        audio: Refused.
        functions: Refused: it is out of date.
        function_call: Refused: it is out of date.
        web_search_options: Refused.
    """

    messages: Annotated[tuple[ChatTurn, ...], Meta(min_length=1, max_length=10_000)]
    max_completion_tokens: Tokens | None = None
    tools: Annotated[tuple[FunctionTool, ...], Meta(max_length=128)] | None = None
    tool_choice: Choice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: Likeliest | None = None
    modalities: tuple[str, ...] | None = None
    audio: dict[str, Any] | None = None
    functions: tuple[Any, ...] | None = None
    function_call: Any = None
    web_search_options: dict[str, Any] | None = None

    @property
    def request(self) -> GenerateRequest:
        """What to answer, for the library; of two longest lengths the newer field counts.

        Raises:
            InvalidRequest: naming every fault that the schema can not tell.
        """
        schema.refuse(self._faults())
        return GenerateRequest(
            self.model,
            tuple(turn.message for turn in self.messages),
            format=self.response_format.wanted if self.response_format else None,
            options=self.options(self.max_completion_tokens or self.max_tokens),
            keep_alive_s=self.keep_alive_s,
            toolbox=tools.toolbox(self.tools, self.tool_choice, parallel=self.parallel_tool_calls),
            top_logprobs=(self.top_logprobs or 0) if self.logprobs else None,
        )

    def _faults(self) -> Iterator[tuple[str, str]]:
        for number, turn in enumerate(self.messages):
            yield from ((f"messages.{number}.{path}", why) for path, why in turn.faults())
        yield from self.refused()
        yield from tools.faults(self.tools, self.tool_choice)
        if self.response_format:
            yield from self.response_format.faults()
        if self.top_logprobs and not self.logprobs:
            yield "top_logprobs", "is only told with `logprobs`: set that to true"
        if set(self.modalities or ()) - {"text"}:
            yield "modalities", "answers are text: leave it out, or give only `text`"
        yield from self._repair_faults()

    def _repair_faults(self) -> Iterator[tuple[str, str]]:
        wanted = self.response_format.wanted if self.response_format else None
        if self.orac.repair and wanted is None:
            yield "orac.repair", "needs a `response_format` of JSON"
