"""Tokens as text, piece by piece."""

from typing import Any

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"  # what bytes that are no whole letter look like


class Text:
    """Tokens as text, told as soon as no further token can change it.

    Held back is what may be a part of a letter, and what may be the beginning of a text that ends
    the answer. A token is decoded with those before it, as its text may depend on them.
    """

    def __init__(self, tokenizer: Any, stops: tuple[str, ...]) -> None:
        self.tokenizer, self.stops = tokenizer, stops
        self.stopped = False
        self.tokens: list[int] = []
        self.begin = self.told = 0  # the tokens from `begin` to `told` are only the company
        self.held = ""

    def add(self, token: int) -> str:
        """Return what is certain now."""
        self.tokens.append(token)
        new = self._new()
        if new.endswith(_UNFINISHED):
            return ""
        self.begin, self.told = self.told, len(self.tokens)
        return self._until_stop(self.held + new)

    def rest(self) -> str:
        """Return what was held back, when nothing more comes."""
        return "" if self.stopped else self._until_stop(self.held + self._new()) + self.held

    def _new(self) -> str:
        before = self._decoded(self.tokens[self.begin : self.told])
        return self._decoded(self.tokens[self.begin :])[len(before) :]

    def _decoded(self, tokens: list[int]) -> str:
        return str(
            self.tokenizer.decode(
                tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )

    def _until_stop(self, text: str) -> str:
        places = [place for stop in self.stops if (place := text.find(stop)) >= 0]
        if places:
            self.stopped, self.held = True, ""
            return text[: min(places)]
        hold = max((_overlap(text, stop) for stop in self.stops), default=0)
        self.held = text[len(text) - hold :]
        return text[: len(text) - hold]


def _overlap(text: str, stop: str) -> int:
    """Return how many letters at the end of *text* may be the beginning of *stop*."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
