"""What is asked: the names of workloads, and the random text that fills them (pure).

``pp512+tg128@d2048c4`` reads 512 tokens and writes 128, behind 2048 tokens that are in the cache
already, four requests at once. The words are those of llama-bench.
"""

import math
import random
import re

from attrs import evolve, frozen

from ..errors import InvalidRequest
from .results import Workload

PROMPTS = "prompts"
"""Name of the workload that asks the user's own prompts."""

HEADLINE = "pp512+tg{}"
"""What is asked when nobody says what."""

MOST_TOKENS = 1 << 20
MOST_AT_ONCE = 64

NAME = re.compile(r"pp(\d{1,7})\+tg(\d{1,7})(?:@d(\d{1,7}))?(?:c(\d{1,2}))?", re.ASCII)

SPARE_RATIO = 0.05
SPARE_TOKENS = 16
"""Left free where a context is nearly full: random words come to a few tokens more or less."""

WORDS = tuple(
    """
    able about above after again air all also always and animal answer area around ask away back
    base bear beat before began behind below best better big bird black blue board boat body book
    both bring brown build but call came can car care carry case catch center change check city
    class clear close cold color come common cook cool corn count country course cover cross cut
    dark day deep dog door down draw dream drive dry each early earth east eat edge end enough even
    ever every example eye face fact fall far farm fast father feel feet field figure fill final
    find fine fire first fish five fly follow food foot force form four free friend from front full
    game gave girl give glass gold good great green ground group grow half hand happy hard have
    head hear heat heavy help here high hold home horse hot hour house hundred idea inch island
    just keep kind king know land language large last late laugh lead learn leave left less letter
    life light like line list listen little live long look love low machine made main make man map
    mark may mean measure men might mile mind minute miss moon more morning most mother mountain
    move much music must name near need never new next night north nothing notice number object
    ocean off often old once one only open order other our out over own page paper part pass people
    """.split()  # noqa: SIM905 - a list of texts would take 260 lines
)
"""Words that most vocabularies have as one token with the space before them."""


GUESS = 1.3
"""Tokens of a word, before any was counted."""

LEAST = 0.25
"""Tokens of one word; no vocabulary has one token for more than four of them."""


@frozen
class Fit:
    """How many tokens a word comes to, as the engine counts it.

    Attributes:
        tokens: Tokens counted so far.
        seen: Words that they were counted in.
    """

    tokens: int = 0
    seen: int = 0

    @property
    def each(self) -> float:
        """Tokens of one word: a guess, until there was one to learn from.

        Never under `LEAST`: an engine that counts fewer leaves out what it has in its cache.
        """
        return max(LEAST, self.tokens / self.seen) if self.seen else GUESS

    def words(self, tokens: int) -> int:
        """Return how many words come to so many *tokens*; at least one."""
        return max(1, round(tokens / self.each))

    def learned(self, words: int, tokens: int | None) -> "Fit":
        """Return what is known when an engine has counted *tokens* in so many *words*, too."""
        return Fit(self.tokens + tokens, self.seen + words) if tokens and words > 0 else self


def parsed(name: str) -> Workload:
    """Return the workload that a *name* stands for.

    Raises:
        ValueError: saying how such a name is written.
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise ValueError(
            f"{name[:50]!r} is no workload; write it like pp512+tg128, pp512+tg128@d2048 "
            "or pp512+tg128c4"
        )
    prompt, completion, depth, at_once = (int(part or 0) for part in match.groups())
    if match[4] and not 1 <= at_once <= MOST_AT_ONCE:
        raise ValueError(f"{name}: from 1 to {MOST_AT_ONCE} requests at once")
    if not (1 <= prompt <= MOST_TOKENS and 1 <= completion <= MOST_TOKENS and depth <= MOST_TOKENS):
        raise ValueError(f"{name}: from 1 to {MOST_TOKENS} tokens to read and to write")
    return preset(prompt, completion, depth, at_once or 1)


def preset(prompt: int, completion: int, depth: int = 0, concurrency: int = 1) -> Workload:
    """Return the workload of random text with those figures, with its name."""
    name = f"pp{prompt}+tg{completion}"
    name += f"@d{depth}" if depth else ""
    name += f"c{concurrency}" if concurrency > 1 else ""
    return Workload(name, prompt, completion, depth, concurrency)


def chosen(prompts: tuple[str, ...], presets: tuple[str, ...], max_tokens: int) -> list[Workload]:
    """Return what is to be asked: the *prompts* first, then the *presets*; one preset for nothing.

    Raises:
        InvalidRequest: when a name is none.
    """
    found = [Workload(PROMPTS, None, max_tokens, prompts=prompts)] if prompts else []
    names = presets or (() if prompts else (HEADLINE.format(max_tokens),))
    for place, name in enumerate(names):
        try:
            found.append(parsed(name))
        except ValueError as error:
            raise InvalidRequest(str(error), {f"presets.{place}": str(error)}) from None
    return list({each.name: each for each in found}.values())


def clipped(workload: Workload, context_length: int | None) -> Workload:
    """Return *workload* cut to what fits into a context of so many tokens; depth goes first.

    Its name is that of what is really asked, and its ``note`` says from what it was cut.
    """
    if workload.prompt_tokens is None or context_length is None:
        return workload
    wanted = workload.depth + workload.prompt_tokens + workload.completion_tokens
    spare = SPARE_TOKENS + math.ceil(SPARE_RATIO * (workload.depth + workload.prompt_tokens))
    over = wanted + spare - context_length
    if over <= 0:
        return workload
    depth = max(0, workload.depth - over)
    over -= workload.depth - depth
    prompt = max(1, workload.prompt_tokens - over)
    over -= workload.prompt_tokens - prompt
    completion = max(1, workload.completion_tokens - max(0, over))
    cut = preset(prompt, completion, depth, workload.concurrency)
    note = f"cut from {workload.name}: the context is {context_length} tokens"
    return evolve(cut, note=note)


def text(key: str, words: int) -> str:
    """Return so many random *words*; the same for the same *key*, another for another."""
    draw = random.Random(key)  # noqa: S311 - text to read, no secret
    return " ".join(draw.choices(WORDS, k=words))
