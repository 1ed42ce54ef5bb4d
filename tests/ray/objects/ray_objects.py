"""What the replicas of the tests serve; they note in files what they do."""

import asyncio
import os
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

LOOK_S, PAUSE_S = 0.02, 0.01


class Model:
    """Says what it is asked, and makes vectors."""

    def generate(self, messages):
        for message in messages:
            yield message["content"]

    def embed(self, texts):
        return [[float(len(text)), 0.0] for text in texts]


class Scribe:
    """Does what a prompt says, and notes when it began and how it ended.

    ``count 3`` writes three numbers; ``hold NAME`` writes a piece, and another when there is a file
    of that name in its folder; ``late NAME`` writes nothing before there is.
    """

    orders: ClassVar = ("count", "hold", "late")

    def __init__(self, folder):
        self.folder = Path(folder)

    async def generate(self, prompt):
        order, what, *_ = prompt.split()
        assert order in self.orders
        with self._noted(prompt):
            if order == "count":
                for number in range(int(what)):
                    await asyncio.sleep(PAUSE_S)
                    yield f"{number} "
                return
            if order == "late":
                await self._there(what)
            yield "begun "
            await self._there(what)
            yield "ended"

    async def _there(self, name):
        while not (self.folder / name).exists():
            await asyncio.sleep(LOOK_S)

    @contextmanager
    def _noted(self, prompt):
        how = "left"
        self._note("begun", prompt)
        try:
            yield
            how = "ended"
        finally:
            self._note(how, prompt)

    def _note(self, how, prompt):
        line = f"{os.getpid()} {how} {prompt}\n".encode()
        with (self.folder / "notes").open("ab", buffering=0) as notes:
            notes.write(line)


def model():
    return Model()


def scribe(folder):
    return Scribe(folder)


def patient(folder):
    """Return a model once there is a file ``go``; until then it is being loaded."""

    async def made():
        (Path(folder) / "asked").touch()
        while not (Path(folder) / "go").exists():
            await asyncio.sleep(LOOK_S)
        return Scribe(folder)

    return made()


def broken():
    raise ValueError("no such camera")
