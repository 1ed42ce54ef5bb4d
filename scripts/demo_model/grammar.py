"""The language of robot commands: sentences, and the one JSON answer each of them has."""

import json
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from textwrap import fill
from typing import Any
from zlib import crc32

from . import chatter, numerals, words

Answer = Mapping[str, Any]
Meant = tuple[str, Answer]

UNKNOWN: Answer = {"action": "unknown"}
SHARES = {"move": 23, "rotate": 15, "goto": 15, "photo": 6, "return": 6, "stop": 5, "unknown": 30}
"""How many of a hundred sentences ask for each action."""

SECOND_SHARES = {
    "move": 22,
    "rotate": 16,
    "goto": 36,
    "photo": 3,
    "return": 3,
    "stop": 4,
    "unknown": 16,
}
THIRD_SHARES = {**SECOND_SHARES, "goto": 42, "unknown": 20}
"""The same in the later courses of training: to copy numbers is what takes longest to learn."""

ANSWERS = """\
answer  = move | rotate | goto | photo | return | stop | unknown
move    = {"action":"move","direction":DIRECTION,"meters":M}   DIRECTION: "forward", "backward",
          "left" or "right"; 0 < M < 100, at most one decimal, or two from centimeters
rotate  = {"action":"rotate","direction":SIDE,"degrees":D}   SIDE: "left" or "right";
          D whole, from 1 to 360
goto    = {"action":"goto","x":X,"y":Y}   -100 < X, Y < 100, at most one decimal
photo   = {"action":"photo"}
return  = {"action":"return"}
stop    = {"action":"stop"}
unknown = {"action":"unknown"}   everything else
"""

COMMANDS = """\
command  = [address] [polite] order [polite], with a capital or none, with . ! ? or nothing behind
order    = move | rotate | goto | photo | return | stop
move     = ({move_verbs}) WAY LENGTH, or LENGTH before WAY,
           or one of: {move_phrases}, with LENGTH
           WAY: {ways}
LENGTH   = NUMBER (meters | m | nothing), WHOLE (centimeters | cm), or words from half a meter to
           ten meters; 0 < NUMBER < 100, at most one decimal; WHOLE: a multiple of 5 up to 200
rotate   = ({rotate_verbs}) SIDE ANGLE, or ANGLE before SIDE, or make a SIDE turn of ANGLE
           SIDE: {sides}
           or, for half a turn to the left: {around}
ANGLE    = NUMBER (degrees | deg | ° | nothing), or words: {angles};
           NUMBER whole, from 1 to 360
goto     = ({goto_verbs}) [point | position | coordinates | ...] X Y
           X Y: -1.5, 2 | (-1.5, 2) | x=-1.5 y=2 | x -1.5 and y 2 | x: -1.5, y: 2 | ...
photo    = ({photo_verbs}) (a photo | a picture | an image | ...), photo, photograph this, ...
return   = (return | go back | come back | ...) (to start | to base | home | to the dock | ...)
stop     = {stops}, ...
"""


def described() -> str:
    """The language as text to read: the answers, and the commands they belong to."""
    long = COMMANDS.format(**vocabulary()).splitlines()
    wrapped = (fill(line, 100, subsequent_indent=" " * 11) for line in long)
    return "\n".join((*wrapped, "", ANSWERS))


def vocabulary() -> dict[str, str]:
    """The lists of words in ``COMMANDS``."""

    def listed(texts: Iterable[str], most: int = 99) -> str:
        return " | ".join(list(dict.fromkeys(texts))[:most])

    return {
        "move_verbs": listed(words.MOVE_VERBS),
        "move_phrases": listed(words.MOVE_PHRASES),
        "ways": listed(way for ways in words.DIRECTIONS.values() for way in ways),
        "rotate_verbs": listed(words.ROTATE_VERBS),
        "sides": listed(side for sides in words.ROTATE_SIDES.values() for side in sides),
        "around": listed(words.TURN_AROUND),
        "angles": listed(words.WORD_ANGLES),
        "goto_verbs": listed(words.GOTO_VERBS),
        "photo_verbs": listed(words.PHOTO_VERBS),
        "stops": listed((*words.STOP_PHRASES, *words.STOP_VERBLESS), 12),
    }


def move(rng: random.Random) -> Meant:
    """A sentence that asks to move some way without turning."""
    amount, meters = numerals.length(rng)
    if rng.random() < 1 / 8:
        phrase = rng.choice(list(words.MOVE_PHRASES))
        direction = words.MOVE_PHRASES[phrase]
        text = f"{phrase} {maybe_by(rng)}{amount}"
    else:
        direction = rng.choice(list(words.DIRECTIONS))
        text = moving(rng, rng.choice(words.DIRECTIONS[direction]), amount)
    return text, {"action": "move", "direction": direction, "meters": meters}


def moving(rng: random.Random, way: str, amount: str) -> str:
    """The words of a move in one of their orders."""
    verb = rng.choice(words.MOVE_VERBS)
    by = maybe_by(rng)
    orders = (
        *(f"{verb} {way} {by}{amount}", f"{verb} {way} {by}{amount}", f"{verb} {amount} {way}"),
        *(f"{way} {amount}", f"{amount} {way}", f"{verb} {way} for {amount}"),
        *(f"{verb} {way}, {amount}", f"make a move {way} of {amount}", f"{verb} {way}: {amount}"),
    )
    return rng.choice(orders)


def maybe_by(rng: random.Random) -> str:
    """``by`` before an amount, in some sentences."""
    return rng.choice(("", "", "", "by ", "about "))


def rotate(rng: random.Random) -> Meant:
    """A sentence that asks to turn on the spot."""
    if rng.random() < 1 / 16:
        text = rng.choice(words.TURN_AROUND)
        return text, {"action": "rotate", "direction": "left", "degrees": 180}
    amount, degrees = numerals.angle(rng)
    side = rng.choice(list(words.ROTATE_SIDES))
    text = turning(rng, side, amount)
    return text, {"action": "rotate", "direction": side, "degrees": degrees}


def turning(rng: random.Random, side: str, amount: str) -> str:
    """The words of a rotation in one of their orders."""
    verb = rng.choice(words.ROTATE_VERBS)
    way = rng.choice(words.ROTATE_SIDES[side])
    orders = (
        *(f"{verb} {way} {amount}", f"{verb} {way} by {amount}", f"{verb} {amount} {way}"),
        *(f"{verb} {amount} {way}", f"make a {side} turn of {amount}", f"{verb} by {amount} {way}"),
        *(f"make a turn of {amount} {way}", f"do a {side} turn of {amount}"),
        *(f"{verb} yourself {way} by {amount}", f"{verb} {way}, {amount}", f"turn {side} {amount}"),
        f"turn {amount} to the {side}",
    )
    return rng.choice(orders)


def goto(rng: random.Random) -> Meant:
    """A sentence that asks to go to a point of the map."""
    (x, x_value), (y, y_value) = numerals.coordinate(rng), numerals.coordinate(rng)
    place = rng.choice(words.PLACES) + rng.choice(words.COORDINATES).format(x=x, y=y)
    text = f"{rng.choice(words.GOTO_VERBS)} {place}"
    return text, {"action": "goto", "x": x_value, "y": y_value}


def photo(rng: random.Random) -> Meant:
    """A sentence that asks for a photo."""
    phrase = rng.choice(words.PHOTO_PHRASES + words.PHOTO_VERBLESS)
    if rng.random() < 2 / 3:
        phrase = f"{rng.choice(words.PHOTO_VERBS)} {rng.choice(words.PHOTOS)}"
        phrase = f"{phrase} {chatter.filled(rng, rng.choice(words.PHOTO_EXTRAS))}".strip()
    return phrase, {"action": "photo"}


def come_back(rng: random.Random) -> Meant:
    """A sentence that asks to return to the start."""
    phrase = rng.choice(words.RETURN_PHRASES + words.RETURN_VERBLESS)
    if rng.random() < 2 / 3:
        phrase = f"{rng.choice(words.RETURN_VERBS)} {rng.choice(words.STARTS)}"
    return phrase, {"action": "return"}


def stop(rng: random.Random) -> Meant:
    """A sentence that asks to stop."""
    phrase = rng.choice(words.STOP_PHRASES + words.STOP_VERBLESS)
    return phrase.upper() if rng.random() < SHOUTED else phrase, {"action": "stop"}


def unknown(rng: random.Random) -> Meant:
    """A sentence that is none of the commands, however close it may look."""
    if rng.random() < CHATTER:
        return chatter.sentence(rng), UNKNOWN
    whole = rng.choice((move, rotate, goto, move, rotate, goto, photo, come_back, stop))(rng)[0]
    return chatter.spoilt(rng, whole), UNKNOWN


MAKERS: Mapping[str, Callable[[random.Random], Meant]] = {
    "move": move,
    "rotate": rotate,
    "goto": goto,
    "photo": photo,
    "return": come_back,
    "stop": stop,
    "unknown": unknown,
}
CHATTER = 0.65
SHOUTED = 0.2
VERBLESS = re.compile(
    r"[\d.]|(half|a|one|two|three|four|five|six|seven|eight|nine|ten) |"
    r"left|right|back (?!up)|backward|forward|ahead|straight|sideways|to |fwd|emergency|"
    r"don't|do not|full stop|no |photo$|picture$|snapshot$|camera"
)
POLITE_CHATTER = 0.1
HELD_OUT_CLASS = 8
"""Of the ten classes of wordings the one that training never shows."""


def sentence(rng: random.Random, shares: Mapping[str, int] = SHARES) -> Meant:
    """One sentence of any action with its answer, in the dress people give it."""
    action = rng.choices(list(shares), list(shares.values()))[0]
    body, answer = MAKERS[action](rng)
    if not (action == "unknown" and rng.random() > POLITE_CHATTER and not chatter.is_order(body)):
        body = dressed(rng, body)
    return typed(rng, body), answer


def dressed(rng: random.Random, body: str) -> str:
    """A sentence with a form of address, a polite start and a closing word, or some of them."""
    opener = rng.choice(words.OPENERS) if rng.random() < 1 / 3 else ""
    closer = rng.choice(words.CLOSERS) if rng.random() < 1 / 3 else ""
    polite = rng.random() < 1 / 2 and not VERBLESS.match(body)
    return opener + (rng.choice(words.POLITENESS) if polite else "") + body + closer


def typed(rng: random.Random, text: str) -> str:
    """A sentence with or without a capital letter and with one of the endings that people type."""
    ends = ("?", "?", "") if text.startswith(("could", "can", "would", "will")) else words.ENDINGS
    if not text.endswith(("?", "!", ".")):
        text += rng.choice(ends)
    return text[:1].upper() + text[1:] if rng.random() < 1 / 2 else text


def compact(answer: Answer) -> str:
    """The JSON of an answer, without spaces."""
    return json.dumps(answer, separators=(",", ":"))


def wording(text: str) -> str:
    """A sentence without case, punctuation and the values of its numbers."""
    return " ".join(re.findall(r"[^\W\d_]+|#", numerals.NUMERAL.sub("#", text.lower())))


def is_held_out(text: str) -> bool:
    """Whether the wording of this sentence is one of those that training never shows."""
    return crc32(wording(text).encode()) % numerals.HELD_OUT == HELD_OUT_CLASS


def has_held_out_numeral(text: str) -> bool:
    """Whether a number in this sentence is one of those that training never shows."""
    return any(map(numerals.is_held_out, numerals.NUMERAL.findall(text)))


def sentences(seed: int, shares: Mapping[str, int] = SHARES) -> Iterator[tuple[str, str]]:
    """Sentences with their answers as JSON, without end, the same ones for the same seed."""
    rng = random.Random(seed)  # noqa: S311 - the same data for the same seed, no secret
    while True:
        text, answer = sentence(rng, shares)
        yield text, compact(answer)


def commands(seed: int, count: int, shares: Mapping[str, int] = SHARES) -> list[tuple[str, str]]:
    """Sentences to train with, and their answers: no wording and no numeral that is held out."""
    made: list[tuple[str, str]] = []
    for text, answer in sentences(seed, shares):
        if len(made) == count:
            break
        if not is_held_out(text) and not has_held_out_numeral(text):
            made.append((text, answer))
    return made


def unseen(seed: int, count: int) -> list[tuple[str, str]]:
    """Different sentences to measure with, and their answers: each has a held-out wording."""
    made: dict[str, str] = {}
    for text, answer in sentences(seed):
        if len(made) == count:
            break
        if is_held_out(text):
            made.setdefault(text, answer)
    return list(made.items())
