"""What a user of ORAC might serve: every shape of it, and much that goes wrong."""

import asyncio
import sys
import threading

from attrs import define, field

FLAWS = {"system exit": SystemExit(3), "interrupt": KeyboardInterrupt()}


@define(eq=False)
class Speech:
    """Hears words in a file; nothing that writes text."""

    path: str = ""
    language: str = "en"
    closed: bool = False
    thread: threading.Thread = field(factory=threading.current_thread)

    def transcribe(self):
        return f"{self.language}: heard"

    def close(self):
        self.closed = True


def speech(path="", language="en"):
    return Speech(path, language)


async def speech_later(path=""):
    await asyncio.sleep(0)
    return Speech(path)


def echo():
    return lambda prompt: f"You said: {prompt}"


def shapes(shape):  # noqa: C901 - one function for each shape
    """Return a function that answers "one two three" in the way named."""
    words = ["one ", "two ", "three"]

    def plain(prompt):
        return "".join(words)

    def generator(prompt):
        yield from words

    def iterator(prompt):
        return iter(words)

    def listed(prompt):
        return words

    async def coroutine(prompt):
        return "".join(words)

    async def asynchronous(prompt):
        for word in words:
            yield word

    async def promised(prompt):
        return asynchronous(prompt)

    def hidden_coroutine(prompt):
        return coroutine(prompt)

    def hidden_asynchronous(prompt):
        return asynchronous(prompt)

    return locals()[shape]


SHAPES = (
    "plain",
    "generator",
    "iterator",
    "listed",
    "coroutine",
    "asynchronous",
    "promised",
    "hidden_coroutine",
    "hidden_asynchronous",
)


@define(eq=False)
class Model:
    """Offers everything."""

    def generate(self, messages):
        for message in messages:
            yield message["content"]

    def embed(self, texts):
        return [[float(len(text)), 0.0] for text in texts]


def model():
    return Model()


@define(eq=False)
class AsyncVectors:
    async def embed(self, texts):
        return [[3.0, 4.0] for _ in texts]


def async_vectors():
    return AsyncVectors()


def broken(how="value", text="no such device"):
    if how in FLAWS:
        raise FLAWS[how]
    raise ValueError(text)


async def broken_later(how="value"):
    broken(how)


def stops_iterating():
    raise StopIteration


def answers(what):
    """Return a function that answers with something else than text, or not at all."""

    def wrong(prompt):
        return 42

    def wrong_piece(prompt):
        yield "one "
        yield b"two"

    def fails(prompt):
        raise LookupError(f"no answer to {prompt}")

    def breaks_off(prompt):
        yield "one "
        raise LookupError("no more")

    async def fails_later(prompt):
        sys.exit(4)

    async def cancels(prompt):
        raise asyncio.CancelledError

    return {
        it.__name__: it for it in (wrong, wrong_piece, fails, breaks_off, fails_later, cancels)
    }[what]


def hears(audio, language="en"):
    return f"{language}: {audio.name}"


def hearing():
    """Return a function that can be called, though not with text."""
    return hears
