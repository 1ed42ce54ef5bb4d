"""A byte-level BPE tokenizer that cuts text as llama.cpp does with ``tokenizer.ggml.pre=qwen2``."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

PRE_TOKENIZER = "qwen2"
"""This one makes each digit a token, so that a small model can learn to copy numbers."""

USER, ROBOT, END = "<|user|>", "<|robot|>", "<|end|>"
SPECIALS = (USER, ROBOT, END)

# The pattern of qwen2 for text whose characters beyond ASCII stand as an ASCII one of their kind.
PIECES = re.compile(
    r"'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])"
    r"|[^\r\na-zA-Z0-9]?[a-zA-Z]+|[0-9]| ?[^\sa-zA-Z0-9]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    re.ASCII,
)
KINDS = {"L": "a", "N": "0"}

Pair = tuple[str, str]


def byte_letters() -> dict[int, str]:
    """The printable letter that GPT-2's tokenizers write for each byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable}
    return letters | {byte: chr(256 + place) for place, byte in enumerate(others)}


LETTERS = byte_letters()
BYTES = {letter: byte for byte, letter in LETTERS.items()}


def kind(character: str) -> str:
    """An ASCII character of the same kind as this one: letter, number, blank or other."""
    if character.isascii():
        return character
    other = "\t" if character.isspace() else "."
    return KINDS.get(unicodedata.category(character)[0], other)


def pieces(text: str) -> Iterator[str]:
    """The pieces of a text that no merge crosses, in the letters of ``LETTERS``."""
    for match in PIECES.finditer("".join(map(kind, text))):
        yield "".join(LETTERS[byte] for byte in text[match.start() : match.end()].encode())


def merged(parts: Sequence[str], pair: Pair) -> list[str]:
    """The parts with each occurrence of the pair joined, from left to right."""
    joined: list[str] = []
    for part in parts:
        if joined and (joined[-1], part) == pair:
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def learn_merges(texts: Iterable[str], count: int) -> list[Pair]:
    """The merges that shorten these texts most, best first; equal ones in alphabetical order."""
    counts = Counter(piece for text in texts for piece in pieces(text))
    split = {piece: list(piece) for piece in counts}
    merges: list[Pair] = []
    while len(merges) < count:
        pairs: Counter[Pair] = Counter()
        for piece, parts in split.items():
            for pair in pairwise(parts):
                pairs[pair] += counts[piece]
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        split = {piece: merged(parts, best) for piece, parts in split.items()}
    return merges


class Tokenizer:
    """Texts to numbers and back.

    Attributes:
        merges: Pairs to join, best first.
        tokens: The text of each token in the letters of ``LETTERS``, then the special ones.
    """

    def __init__(self, merges: Sequence[Pair]) -> None:
        self.merges = tuple(merges)
        joined = ["".join(pair) for pair in merges]
        self.tokens = (*(LETTERS[byte] for byte in range(256)), *joined, *SPECIALS)
        self._ids = {token: place for place, token in enumerate(self.tokens)}
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._known: dict[str, list[int]] = {}

    def special(self, token: str) -> int:
        """The number of a special token."""
        return self._ids[token]

    def encode(self, text: str) -> list[int]:
        """The tokens of a text without special ones."""
        return [token for piece in pieces(text) for token in self._piece(piece)]

    def prompt(self, text: str) -> list[int]:
        """The tokens the chat template makes of a user's message."""
        return [self.special(USER), *self.encode(text.strip()), self.special(ROBOT)]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens without special ones."""
        letters = "".join(self.tokens[token] for token in tokens)
        return bytes(BYTES[letter] for letter in letters).decode(errors="replace")

    def _piece(self, piece: str) -> list[int]:
        if piece not in self._known:
            parts = list(piece)
            while known := set(pairwise(parts)) & self._ranks.keys():
                parts = merged(parts, min(known, key=self._ranks.__getitem__))
            self._known[piece] = [self._ids[part] for part in parts]
        return self._known[piece]
