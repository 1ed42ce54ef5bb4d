"""Where an answer ends that a function would go on with. Pure."""

from attrs import define, field

from orac_core import FinishReason


@define(eq=False)
class Cut:
    """Lets pieces pass until a stop text, or so many of them.

    Attributes:
        stop: Texts that end the answer; they are not part of it.
        most: Longest answer in pieces, each of which counts as a token; None for any length.
        over: Whether the answer has ended.
        reason: Why it has.
    """

    stop: tuple[str, ...] = ()
    most: int | None = None
    over: bool = field(default=False, init=False)
    reason: FinishReason = field(default="stop", init=False)
    _kept: str = field(default="", init=False)
    _passed: int = field(default=0, init=False)

    def add(self, piece: str) -> str:
        """Return what may be told of the answer now, with *piece* at its end."""
        text = self._kept + piece
        self._passed += 1
        ends = [(at + len(each), at) for each in self.stop if (at := text.find(each)) >= 0]
        if ends:
            self.over, self._kept = True, ""
            return text[: min(ends)[1]]
        if self.most is not None and self._passed >= self.most:
            self.over, self.reason, self._kept = True, "length", ""
            return text
        return self._keep(text)

    def rest(self) -> str:
        """Return what was kept as it might have become a stop text."""
        rest, self._kept = self._kept, ""
        return rest

    def _keep(self, text: str) -> str:
        longest = max((len(each) - 1 for each in self.stop), default=0)
        size = next(
            (
                size
                for size in range(min(longest, len(text)), 0, -1)
                if any(each.startswith(text[-size:]) for each in self.stop)
            ),
            0,
        )
        self._kept = text[len(text) - size :]
        return text[: len(text) - size]
