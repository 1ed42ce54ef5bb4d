"""One answer, from its prompt's tokens to its last."""

import time
from typing import Any

from .model import Model
from .text import Text

_SILENCE_S = 1.0


class Answer:
    """An answer while it is made: a stopping criterion that turns each token into text.

    `generate` runs in a thread of its own; the pieces come out of a `TextIteratorStreamer`. Its own
    way to make text of tokens is not used: it holds back a word until the next one begins, and
    knows no texts that end an answer.
    """

    def __init__(self, model: Model, asked: dict[str, Any], tokens: Any) -> None:
        from transformers import TextIteratorStreamer  # noqa: PLC0415 - see above

        self.model, self.tokens = model, tokens
        self.asked = asked
        self.settings = model.settings(asked, tokens.shape[1])
        self.ends = model.ends(self.settings)
        self.pieces = TextIteratorStreamer(model.tokenizer, timeout=_SILENCE_S)
        self.text = Text(model.tokenizer, tuple(asked.get("stop", ())))
        self.failure: Exception | None = None
        self.reason = "length"
        self.moments: list[float] = []

    def __call__(self, tokens: Any, _: Any, **__: Any) -> Any:
        """Take the last of *tokens*; return whether that was enough."""
        token = int(tokens[0, -1])
        self.moments.append(time.perf_counter())
        if token in self.ends:
            self.reason = "stop"
        elif piece := self.text.add(token):
            self.pieces.on_finalized_text(piece)
        if self.text.stopped:
            self.reason = "stop"
        enough = self.model.left or self.reason == "stop"
        return self.model.torch.tensor([enough], device=tokens.device)

    def run(self) -> None:
        """Make the answer; the end of the pieces is told whatever happens."""
        rest = ""
        try:
            self._generate()
            rest = self.text.rest()
        except Exception as error:  # noqa: BLE001 - torch raises anything; the client is told
            self.failure = error
        self.pieces.on_finalized_text(rest, stream_end=True)

    def _generate(self) -> None:
        torch, seed = self.model.torch, self.asked.get("seed")
        if seed is None:
            torch.seed()
        else:
            torch.manual_seed(seed)
        self.moments.append(time.perf_counter())
        with torch.inference_mode():
            self.model.model.generate(
                self.tokens,
                attention_mask=torch.ones_like(self.tokens),
                generation_config=self.settings,
                stopping_criteria=[self],
                logits_processor=self._processors(),
            )

    def _processors(self) -> list[Any]:
        frequency = self.asked.get("frequency_penalty", 0.0)
        presence = self.asked.get("presence_penalty", 0.0)
        if not frequency and not presence:
            return []
        return [Penalty(self.model.torch, self.tokens.shape[1], frequency, presence)]

    def told(self) -> dict[str, Any]:
        """Return what is told at the end: why it ended, how long it is, how fast it was."""
        prompt, written = self.tokens.shape[1], len(self.moments) - 1
        usage = {"prompt_tokens": prompt, "completion_tokens": written}
        return {
            "choices": [{"index": 0, "text": "", "finish_reason": self.reason}],
            "usage": usage,
            "timings": {
                "prompt_per_second": _rate(prompt, self.moments[:2]),
                "predicted_per_second": _rate(written - 1, self.moments[1:]),
            },
        }


def _rate(count: int, moments: list[float]) -> float:
    """Return how many a second; 0 where that can not be told."""
    took = moments[-1] - moments[0] if moments else 0.0
    return count / took if took > 0 else 0.0


class Penalty:
    """Makes tokens less likely that the answer has already, as OpenAI's API defines it."""

    def __init__(self, torch: Any, begin: int, frequency: float, presence: float) -> None:
        self.torch, self.begin = torch, begin
        self.frequency, self.presence = frequency, presence

    def __call__(self, tokens: Any, scores: Any) -> Any:
        """Return the scores of the next token, lowered."""
        written = tokens[0, self.begin :]
        counts = self.torch.bincount(written, minlength=scores.shape[1])[: scores.shape[1]]
        return scores - counts * self.frequency - (counts > 0) * self.presence
