"""What a simulated model is, and its time in memory."""

import math
from collections.abc import Mapping
from typing import Any

from attrs import define, field, frozen

from orac_core import LoadRequest


@frozen
class SimulatedModel:
    """A model, what it costs to have it, and what the manifest wants of it.

    Attributes:
        name: Its id.
        need_bytes: Memory that it takes.
        load_s: Time to read it.
        first_s: Time to the first token.
        token_s: Time from token to token.
        keep_s: How long it stays loaded without being used.
        wishes: What else the manifest says.
    """

    name: str
    need_bytes: int
    load_s: float
    first_s: float = 0.1
    token_s: float = 0.05
    keep_s: float = math.inf
    wishes: Mapping[str, Any] = field(factory=dict)

    @property
    def size_bytes(self) -> int:
        """Size on the disk; what is guessed from it is a little more than what is needed."""
        return int(self.need_bytes * 0.85)

    @property
    def kept(self) -> bool:
        """Whether it must never make room for another."""
        return bool(self.wishes.get("pinned") or self.wishes.get("required"))


@define(eq=False)
class Life:
    """The time of a model in memory, from one load to the next loss.

    Attributes:
        request: How it was loaded.
        begun_at: When that load was asked for.
        foreign: Whether another program loaded it.
        proved: Whether it has answered since ORAC last loaded it.
        answers: Answers under way.
        answered_at: When the last answer to a prompt began.
        listed_at: When it was first listed since something happened to it.
    """

    request: LoadRequest
    begun_at: float
    foreign: bool = False
    proved: bool = False
    answers: int = 0
    answered_at: float = 0.0
    listed_at: float = math.inf
