"""How much longer a token takes the more of the context lies before it."""

from collections.abc import Sequence

from attrs import define, field

MOST_PER_TOKEN = 1e-3
"""Assumed where nothing is known: a thousand tokens before it double a token's time, at the most.
Of 14 common models the one with the largest cache for its weights has 0.0003."""

OFF_BY = 3.0
"""What is expected from the sizes of cache and weights may be off so many times, either way."""

MATTERS = 0.10
"""An answer teaches something where what is not known moves its rate by more than this share."""

_NOISE = 0.05
_TOLERANCE = 0.04
"""A share by which a factor may miss all rates and still be plausible: the baseline may be as far
off, and to explain that by depth would be paid for in deeper contexts."""

_MOST_MISSED = 0.15**2
"""What one answer can say against a factor: three times the noise; outliers say no more."""

_SURE = 9 * _NOISE**2
"""Factors are given up that explain the rates worse than the best by three standard deviations."""

_CANDIDATES = 24
_FEW = 7
_DEEP = 32_768
"""Neighbouring candidates lie evenly, at most 16 % apart in the rates that they expect here."""


@define(eq=False)
class Depth:
    """The bounds of *k* in: a token with *d* tokens before it takes 1 + k·d times as long.

    Decoding waits for memory: each token reads all weights and, of the cache, what lies before
    it, so that *k* is about the bytes of the cache for each token over the bytes of the weights
    that a token needs. What it really is, the answers tell: candidates between the bounds compete
    in explaining their rates, and the bounds close in on those that do it well.

    Attributes:
        least: The least that *k* may be.
        most: The most.
    """

    least: float = 0.0
    most: float = MOST_PER_TOKEN
    _candidates: list[float] = field(factory=list, init=False)
    _missed: list[float] = field(factory=list, init=False)
    _answers: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._spread(self.least, self.most)

    @classmethod
    def about(cls, prior_per_token: float | None) -> "Depth":
        """Return the bounds around what is expected; wide ones where nothing is."""
        if prior_per_token is None:
            return cls()
        return cls(prior_per_token / OFF_BY, prior_per_token * OFF_BY)

    def learn(self, share: float, depth: float) -> None:
        """Learn from an answer of a model that is well.

        Args:
            share: Its rate as a share of the baseline.
            depth: Tokens before the middle of the answer.
        """
        self._answers += 1
        self._missed = [
            missed + min((share * (1 + k * depth) - 1) ** 2, _MOST_MISSED)
            for k, missed in zip(self._candidates, self._missed, strict=True)
        ]
        enough = min(self._missed) + _SURE + self._answers * _TOLERANCE**2
        self._close_in([at for at, missed in enumerate(self._missed) if missed <= enough])

    def _close_in(self, plausible: Sequence[int]) -> None:
        """Take the outermost of the plausible candidates, and those beside them, as bounds."""
        first, last = max(plausible[0] - 1, 0), min(plausible[-1] + 1, _CANDIDATES - 1)
        self.least, self.most = self._candidates[first], self._candidates[last]
        if last - first < _FEW:
            self._spread(self.least, self.most)

    def _spread(self, least: float, most: float) -> None:
        start, times = least + 1 / _DEEP, (most * _DEEP + 1) / (least * _DEEP + 1)
        steps = (times ** (at / (_CANDIDATES - 1)) for at in range(_CANDIDATES))
        self._candidates = [min(max(start * each - 1 / _DEEP, least), most) for each in steps]
        self._missed, self._answers = [0.0] * _CANDIDATES, 0
