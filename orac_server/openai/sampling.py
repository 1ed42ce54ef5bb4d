"""What requests for text have in common: how to choose tokens, and how to deliver them."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any

from attrs import frozen
from msgspec import Meta

from orac_core import GenerateOptions

from ..requests import (
    WHOLE_ONLY,
    Deadline,
    Name,
    Share,
    Span,
    StopText,
    StopTexts,
    Tokens,
    seconds,
)
from ..schema import Open
from ..wire import MILLISECONDS

Temperature = Annotated[float, Meta(ge=0, le=2)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Seed = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Likeliest = Annotated[int, Meta(ge=0, le=20)]

SEEDS = 4_294_967_295
"""Seeds that the engines tell apart: 0 and those below this."""

ONE_ANSWER = "one answer is given at a time; ask again for another"

TOKENS = "numbers of tokens are not read, as each model has its own; send text"

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "logit_bias": "tokens can not be weighed one by one; leave it out",
        "suffix": "nothing can be inserted into a text; leave it out",
        "echo": "the prompt is not repeated; leave it out",
        "audio": "answers are text; leave it out",
        "functions": "is out of date; give `tools`",
        "function_call": "is out of date; give `tool_choice`",
        "web_search_options": "the web is not searched; leave it out",
    }
)
"""Fields whose wish would otherwise be passed over in silence, and what to do instead."""


def texts(given: str | tuple[str | int | tuple[int, ...], ...]) -> tuple[str, ...]:
    """Return the texts of *given*; none when there are numbers of tokens among them."""
    if isinstance(given, str):
        return (given,)
    found = tuple(each for each in given if isinstance(each, str))
    return found if len(found) == len(given) else ()


@frozen(kw_only=True)
class OracOptions:
    """How to choose the next token, where OpenAI has no field for it.

    Attributes:
        top_k: Number of likeliest tokens to choose from; 0 takes all.
        min_p: Least probability, relative to the likeliest token.
        repeat_penalty: Above 1 makes tokens less likely that occurred lately.
    """

    top_k: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    min_p: Share | None = None
    repeat_penalty: Annotated[float, Meta(ge=0.1, le=10)] | None = None


@frozen(kw_only=True)
class OracWish:
    """What only ORAC can do; a key that it does not have is refused.

    Attributes:
        deadline_ms: Longest time that the answer may take; what was written by then is answered.
        repair: Whether to ask once more for an answer that misses its format; not in a stream.
        options: How to choose the next token, where OpenAI has no field for it.
    """

    deadline_ms: Deadline | None = None
    repair: bool = False
    options: OracOptions = OracOptions()


@frozen(kw_only=True)
class StreamOptions(Open):
    """What a stream tells beside the answer.

    Attributes:
        include_usage: Whether the tokens used are told, in a frame of their own at the end.
    """

    include_usage: bool | None = None


@frozen(kw_only=True)
class Sampling(Open):
    """The fields that requests for a chat and for a completion share.

    Attributes:
        model: Name of the model, an alias or a role.
        max_tokens: Longest answer, in tokens; without it an answer may fill the context.
        temperature: 0 always takes the likeliest token; without it the engine's default holds, as
            for the next ones.
        top_p: Smallest set of tokens whose probabilities sum up to this.
        frequency_penalty: Above 0 makes tokens less likely the more often they occurred.
        presence_penalty: Above 0 makes tokens less likely that occurred.
        seed: Makes sampling repeatable. Engines have fewer bits: it is taken modulo 4294967295.
        stop: Texts that end the answer; they are not part of it.
        n: Number of answers; more than one is refused.
        logit_bias: Refused, unless it is empty.
        stream: Whether to send the answer as it is written.
        stream_options: What a stream tells beside the answer.
        keep_alive: ORAC's: how long the model then stays loaded, in seconds or as text such as
            `5m`, as for a load.
        orac: What only ORAC can do.
    """

    model: Name
    max_tokens: Tokens | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    seed: Seed | None = None
    stop: StopText | StopTexts | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    logit_bias: dict[str, Any] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    keep_alive: Span | None = None
    orac: OracWish = OracWish()

    @property
    def with_usage(self) -> bool:
        """Whether the stream ends with the count of tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def deadline_s(self) -> float | None:
        """Longest time that the answer may take; None for the service's own limit."""
        return self.orac.deadline_ms / MILLISECONDS if self.orac.deadline_ms else None

    @property
    def keep_alive_s(self) -> float | None:
        """How long the model stays; raises InvalidRequest when that is no span of time."""
        return seconds(self.keep_alive, "keep_alive")

    def options(self, longest: int | None) -> GenerateOptions:
        """Return how to choose tokens, at most *longest* of them.

        OpenAI's seeds are 64 bits and may be negative: they are taken modulo the engines' number.
        """
        own = self.orac.options
        return GenerateOptions(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=own.top_k,
            min_p=own.min_p,
            seed=None if self.seed is None else self.seed % SEEDS,
            max_tokens=longest,
            stop=(self.stop,) if isinstance(self.stop, str) else self.stop or (),
            repeat_penalty=own.repeat_penalty,
            frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty,
        )

    def refused(self) -> Iterator[tuple[str, str]]:
        """Yield each field that asks for what there is not, and why."""
        for name, why in REFUSED.items():
            if getattr(self, name, None):
                yield name, why
        if (self.n or 1) > 1:
            yield "n", ONE_ANSWER
        if self.stream and self.orac.repair:
            yield "orac.repair", WHOLE_ONLY
