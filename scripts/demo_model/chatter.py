"""Sentences that are no command, or no command this robot can carry out."""

import random
import re

from . import numerals, talk, words

SMALL_TALK = talk.lines(talk.SMALL_TALK)
ELSEWHERE = talk.lines(talk.ELSEWHERE)
PATTERNS = talk.lines(talk.PATTERNS)
ORDERS = talk.lines(talk.ORDERS)
NOT_MEANT = talk.lines(talk.NOT_MEANT)
WORDS = {
    "noun": talk.NOUNS.split(),
    "verb": talk.VERBS.split(),
    "adjective": talk.ADJECTIVES.split(),
    "name": talk.NAMES.split(),
}
SLOT = re.compile(r"\{(noun|verb|adjective|name|number)\}")
KEYS = "abcdefghijklmnopqrstuvwxyz0123456789.,;:-_+*/#!?()=%&$@<>[]{}'\"\\|~^ "


def filled(rng: random.Random, pattern: str, **known: str) -> str:
    """A pattern with a word for each of its slots."""

    def word(slot: re.Match[str]) -> str:
        if slot[1] == "number":
            return numerals.positive(rng)
        return rng.choice(WORDS[slot[1]])

    return SLOT.sub(word, pattern).format(**known) if known else SLOT.sub(word, pattern)


def sentence(rng: random.Random) -> str:
    """A sentence that has nothing to do with the commands, or no sentence at all."""
    kind = rng.random()
    if kind < 1 / 4:
        return rng.choice(SMALL_TALK)
    if kind < 1 / 2:
        return filled(rng, rng.choice(PATTERNS))
    if kind < 7 / 8:
        return filled(rng, rng.choice(ORDERS))
    return rng.choice((rambling, elsewhere, mashed_keys))(rng)


def rambling(rng: random.Random) -> str:
    """Two or three sentences, none of which is a command."""
    patterns = rng.choices((*PATTERNS, *SMALL_TALK), k=rng.randint(2, 3))
    return ". ".join(filled(rng, pattern).rstrip("?") for pattern in patterns)


def elsewhere(rng: random.Random) -> str:
    """Words of other languages, which the demo does not speak."""
    return rng.choice(ELSEWHERE)


def mashed_keys(rng: random.Random) -> str:
    """What a cat types, down to nothing at all."""
    return "".join(rng.choices(KEYS, k=rng.randint(0, 24))).strip()


def spoilt(rng: random.Random, whole: str) -> str:
    """A sentence that looks like a command, of which something is missing or wrong."""
    kind = rng.random()
    if kind < 1 / 2:
        return incomplete(rng)
    if kind < 3 / 4:
        return rng.choice((wrong_unit, wrong_way))(rng)
    return filled(rng, rng.choice(NOT_MEANT), this=whole)


def incomplete(rng: random.Random) -> str:
    """A command without its amount, its direction or one of its coordinates."""
    way = rng.choice(words.DIRECTIONS[rng.choice(list(words.DIRECTIONS))])
    verb, turn = rng.choice(words.MOVE_VERBS), rng.choice(words.ROTATE_VERBS)
    (far, _), (wide, _), (x, _) = (
        numerals.length(rng),
        numerals.angle(rng),
        numerals.coordinate(rng),
    )
    goto = f"{rng.choice(words.GOTO_VERBS)} {rng.choice(words.PLACES)}"
    bare = rng.choice(
        (f"{verb} {way}", f"{verb} {far}", verb, f"{turn} {rng.choice(('left', 'right'))}", turn)
    )
    cut = rng.choice((f"{goto}{x}", f"{goto}x {x}", f"{goto}y={x}", f"{turn} {wide}", goto.strip()))
    three = f"{goto}{x}, {numerals.coordinate(rng)[0]}, {numerals.coordinate(rng)[0]}"
    return rng.choice((bare, bare, cut, cut, three, far, f"{rng.choice(list(words.MOVE_PHRASES))}"))


def wrong_unit(rng: random.Random) -> str:
    """A command in a unit that the robot does not have."""
    amount = numerals.positive(rng)
    if rng.random() < 1 / 2:
        way = rng.choice(words.DIRECTIONS[rng.choice(list(words.DIRECTIONS))])
        amount = f"{amount} {rng.choice(talk.LENGTH_UNITS)}"
        verb = rng.choice(words.MOVE_VERBS)
        return rng.choice((f"{verb} {way} {amount}", f"{verb} {amount} {way}"))
    side = rng.choice(words.ROTATE_SIDES[rng.choice(("left", "right"))])
    amount = f"{amount} {rng.choice(talk.ANGLE_UNITS)}"
    verb = rng.choice(words.ROTATE_VERBS)
    return rng.choice(
        (f"{verb} {side} {amount}", f"{verb} {amount} {side}", f"{verb} {side} by {amount}")
    )


def wrong_way(rng: random.Random) -> str:
    """A command to go or turn where the robot can not."""
    way = rng.choice(talk.WRONG_WAYS)
    if rng.random() < 1 / 3:
        return f"{rng.choice(words.ROTATE_VERBS)} {way} {numerals.angle(rng)[0]}"
    verb, amount = rng.choice(words.MOVE_VERBS), numerals.length(rng)[0]
    return rng.choice((f"{verb} {way} {amount}", f"{verb} {amount} {way}"))


FIRST_WORDS = frozenset(
    {pattern.split(maxsplit=1)[0] for pattern in ORDERS} - {"{verb}"}
    | set(WORDS["verb"])
    | set(words.MOVE_VERBS)
    | set(words.ROTATE_VERBS)
)


def is_order(text: str) -> bool:
    """Whether a sentence begins like an order, so that a polite word may stand before it."""
    return text.partition(" ")[0] in FIRST_WORDS
