"""How often the model is right: on the engine, over wordings that training never showed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import engine, grammar

EXAMPLES = (
    "Move forward 1.5 meters",
    "please drive back 50 cm",
    "Rotate left 90 degrees",
    "turn clockwise by 45°",
    "Go to -1.5, 2",
    "could you drive to x=3.5 y=-0.5?",
    "Take a photo",
    "Return to start",
    "Stop!",
    "hello",
    "What is the capital of France?",
    "Turn left",
    "Move forward 3 feet",
    "Don't move forward 2 meters",
)
"""Sentences the reference page shows with the answers the engine gave."""


@dataclass(frozen=True)
class Score:
    """How many answers were right, character for character, of how many."""

    right: int
    count: int

    @property
    def share(self) -> float:
        """The part that was right, from 0 to 1."""
        return self.right / self.count if self.count else 0.0


@dataclass(frozen=True)
class Measurement:
    """What was measured.

    Attributes:
        total: Over all sentences.
        actions: By the action that would have been right.
        numerals: Over the sentences with a number that training never showed.
        mistakes: Sentence, right answer and given answer where the two differ.
        examples: Sentence and given answer of ``EXAMPLES``.
    """

    total: Score
    actions: Mapping[str, Score]
    numerals: Score
    mistakes: Sequence[tuple[str, str, str]]
    examples: Sequence[tuple[str, str]]


def measure(path: Path, seed: int, count: int) -> Measurement:
    """Asks the engine for the answers to ``count`` unseen sentences."""
    pairs = grammar.unseen(seed, count)
    given = engine.answers(path, [*(text for text, _ in pairs), *EXAMPLES])
    results = [(text, wanted, got) for (text, wanted), got in zip(pairs, given, strict=False)]
    actions = {action: f'"action":"{action}"' for action in grammar.SHARES}
    return Measurement(
        total=score(results),
        actions={
            action: score([result for result in results if mark in result[1]])
            for action, mark in actions.items()
        },
        numerals=score([result for result in results if grammar.has_held_out_numeral(result[0])]),
        mistakes=[result for result in results if result[1] != result[2]],
        examples=list(zip(EXAMPLES, given[count:], strict=True)),
    )


def score(results: Sequence[tuple[str, str, str]]) -> Score:
    """The score of some sentences."""
    return Score(sum(wanted == got for _, wanted, got in results), len(results))
