"""One answer of a model, token by token."""

import json
from collections.abc import Iterator
from typing import Any

from attrs import define, frozen

from .asked import Asked
from .runners import Runners, Wanted
from .text import json_after, pieces, prompt_tokens, thoughts, words


@frozen
class Token:
    text: str
    is_thought: bool = False


NO_TOKEN = Token("")


@define(eq=False)
class Answer:
    """What a model says to one request, token by token."""

    asked: Asked
    wanted: Wanted
    json: str | None
    ends_after: int | None
    sent: int = 0
    done_reason: str = "stop"

    @property
    def _limit(self) -> int | None:
        """Return how many tokens are asked for; None for no limit."""
        limit = self.wanted.options.get("num_predict")
        return limit if limit and limit > 0 else None

    @property
    def _prompt(self) -> str:
        return f"{self.asked.system}{self.asked.prompt}"

    @property
    def _prompt_tokens(self) -> int:
        return prompt_tokens(self._prompt, raw=self.asked.raw)

    def refuse_too_long(self, runners: Runners) -> int:
        """Return how many tokens of the prompt fit; cut it, or refuse it when that is asked."""
        window = self.wanted.window
        if self._prompt_tokens > window and not self.asked.truncate:
            raise runners.generation.too_long(self._prompt_tokens, window)
        return min(self._prompt_tokens, window - 1)

    def tokens(self) -> Iterator[Token]:
        """Yield the tokens as far as they are asked for."""
        stops = self.wanted.options.get("stop") or ()
        text = ""
        for token in self._all():
            if self.sent == self._limit:
                self.done_reason = "length"
                return
            self.sent += 1
            text += "" if token.is_thought else token.text
            if any(stop in text for stop in stops):
                return
            yield token

    def _all(self) -> Iterator[Token]:
        if self.asked.thinks(self.wanted.model):
            yield from (Token(text, is_thought=True) for text in thoughts(self.asked.prompt))
        yield from map(Token, self._said())

    def _said(self) -> Iterator[str]:
        if self.json is not None:
            yield from pieces(self.json)
            if self.asked.format != "json" or self.ends_after is not None:
                return
            while True:
                yield " "  # as a model does that cannot end and may write nothing else
        if self.calls():
            return
        endless = "num_predict" in self.asked.options and self._limit is None
        ends = None if endless else self.ends_after
        seed = self.asked.options.get("seed") if self.asked.options.get("temperature") else None
        for number, word in enumerate(words(self._prompt, seed)):
            if number == ends:
                return
            yield word

    def calls(self) -> list[dict[str, Any]]:
        """Return a call of each tool, when the model has tools."""
        if self.asked.verb != "chat":
            return []
        functions = [tool["function"] for tool in self.asked.tools]
        return [_call(number, function) for number, function in enumerate(functions)]

    def context(self) -> dict[str, list[int]]:
        if self.asked.verb == "chat" or self.asked.raw:
            return {}
        return {"context": list(range(self._prompt_tokens + self.sent))}

    def logprobs(self, token: str) -> list[dict[str, Any]] | None:
        if self.asked.logprobs is None:
            return None
        one = {"token": token, "logprob": -0.5, "bytes": list(token.encode())}
        return [{**one, "top_logprobs": [one] * self.asked.logprobs}]


def _call(number: int, function: dict[str, Any]) -> dict[str, Any]:
    arguments = json.loads(json_after(function.get("parameters") or {}))
    told = {"index": number, "name": function["name"], "arguments": arguments}
    return {"id": f"call_{number:08x}", "function": told}
