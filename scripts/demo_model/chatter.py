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
ONSETS = "b|bl|br|c|ch|cl|cr|d|dr|f|fl|g|gl|gr|h|j|k|l|m|n|p|ph|pl|qu|r|s|sh|sk|st|t|th|tr|v|w|y|z"
RHYMES = (
    "a|ab|ack|ad|ail|an|and|ark|e|ed|een|ell|er|est|i|id|ill|im|in|ing|ip|o|ob|oon|op|ot|u|ug|ut"
)
KEYS = "abcdefghijklmnopqrstuvwxyz0123456789.,;:-_+*/#!?()=%&$@<>[]{}'\"\\|~^ "
STRANGE = 0.2
"""How many of the nouns, verbs and adjectives are words that do not exist."""


def strange_word(rng: random.Random) -> str:
    """A word that does not exist: the demo has to know that it does not know it."""
    parts = [rng.choice(ONSETS.split("|")) + rng.choice(RHYMES.split("|"))]
    while rng.random() < 1 / 2:
        parts.append(rng.choice(ONSETS.split("|")) + rng.choice(RHYMES.split("|")))
    return "".join(parts)


def filled(rng: random.Random, pattern: str, **known: str) -> str:
    """A pattern with a word for each of its slots."""

    def word(slot: re.Match[str]) -> str:
        if slot[1] == "number":
            return numerals.positive(rng)
        return strange_word(rng) if rng.random() < STRANGE else rng.choice(WORDS[slot[1]])

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
    return rng.choice((rambling, rambling, elsewhere, mashed_keys))(rng)


def rambling(rng: random.Random) -> str:
    """Two to eight sentences, none of which is a command."""
    patterns = rng.choices((*PATTERNS, *SMALL_TALK), k=rng.randint(2, 8))
    return ". ".join(filled(rng, pattern).rstrip("?") for pattern in patterns)


def elsewhere(rng: random.Random) -> str:
    """Words of other languages, which the demo does not speak."""
    return rng.choice(ELSEWHERE)


def mashed_keys(rng: random.Random) -> str:
    """What a cat types, down to nothing at all, or one key or word over and over."""
    if rng.random() < 1 / 4:
        again: str = rng.choice((*KEYS, f"{strange_word(rng)} ", f"{rng.choice(WORDS['noun'])} "))
        return (again * rng.randint(2, 80)).strip()
    return "".join(rng.choices(KEYS, k=rng.randint(0, 24))).strip()


def spoilt(rng: random.Random, whole: str, another: str) -> str:
    """A sentence that looks like a command, of which something is missing, wrong or too much."""
    kind = rng.random()
    if kind < 1 / 5:
        return incomplete(rng)
    if kind < 3 / 5:
        return rng.choice((wrong_unit, wrong_way, out_of_range, out_of_range, out_of_range))(rng)
    if kind < 7 / 10:
        return rng.choice((wrong_verb, told))(rng, whole)
    return filled(rng, rng.choice(NOT_MEANT), this=whole, that=another)


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
    way = strange_word(rng) if rng.random() < STRANGE else rng.choice(talk.WRONG_WAYS)
    if rng.random() < 1 / 3:
        return f"{rng.choice(words.ROTATE_VERBS)} {way} {numerals.angle(rng)[0]}"
    verb, amount = rng.choice(words.MOVE_VERBS), numerals.length(rng)[0]
    return rng.choice((f"{verb} {way} {amount}", f"{verb} {amount} {way}"))


def out_of_range(rng: random.Random) -> str:
    """A command with an amount of nothing, below nothing, too large or too fine."""
    way = rng.choice(words.DIRECTIONS[rng.choice(list(words.DIRECTIONS))])
    side = rng.choice(words.ROTATE_SIDES[rng.choice(("left", "right"))])
    large = str(rng.choice((rng.randint(100, 999), rng.randint(100, 99999))))
    fine = f"{rng.randint(0, 99)}.{rng.randint(0, 99):02}{rng.choice(('1', '5', '7', '34', '962'))}"
    comma = f"{rng.randint(0, 20)},{rng.randint(1, 99)}"
    zero = rng.choice(("0", "0.0"))
    odd = rng.choice((large, large, fine, zero, comma, f"-{numerals.positive(rng)}"))
    if rng.random() < 2 / 5:
        unit = rng.choice(("meters", "meters", "metres", "m"))
        return f"{rng.choice(words.MOVE_VERBS)} {way} {odd} {unit}"
    if rng.random() < 1 / 2:
        degrees = str(rng.randint(361, 9999)) if odd == large else odd
        return f"{rng.choice(words.ROTATE_VERBS)} {side} {degrees}{rng.choice(words.DEGREE_UNITS)}"
    far = rng.choice((large, f"-{large}", fine))
    x, y = rng.choice(((far, numerals.coordinate(rng)[0]), (numerals.coordinate(rng)[0], far)))
    place = rng.choice(words.PLACES) + rng.choice(words.COORDINATES).format(x=x, y=y)
    return f"{rng.choice(words.GOTO_VERBS)} {place}"


def wrong_verb(rng: random.Random, whole: str) -> str:
    """A command with another verb, which may not exist."""
    _, _, rest = whole.partition(" ")
    verb = strange_word(rng) if rng.random() < 1 / 2 else rng.choice(WORDS["verb"])
    return f"{verb} {rest}".strip()


def told(rng: random.Random, whole: str) -> str:
    """A command as something that happens or has happened."""
    _, _, rest = whole.partition(" ")
    return f"{rng.choice(talk.TELLING)} {rest}".strip()


FIRST_WORDS = frozenset(
    {pattern.split(maxsplit=1)[0] for pattern in ORDERS} - {"{verb}"}
    | set(WORDS["verb"])
    | set(words.MOVE_VERBS)
    | set(words.ROTATE_VERBS)
)


def is_order(text: str) -> bool:
    """Whether a sentence begins like an order, so that a polite word may stand before it."""
    return text.partition(" ")[0] in FIRST_WORDS
