"""A Dockerfile, taken apart."""

import json
import re
import shlex
from pathlib import Path

from attrs import field, frozen

ROOT = Path(__file__).parents[2]


@frozen
class Instruction:
    """One instruction, its lines joined: ``RUN``, and what shall be run."""

    word: str
    value: str

    @property
    def listed(self) -> list[str]:
        """The value in its exec form."""
        return json.loads(self.value)


@frozen
class Stage:
    """What follows a ``FROM``; what precedes the first one is a stage without a base."""

    base: str = ""
    name: str = ""
    instructions: list[Instruction] = field(factory=list)

    def all(self, word: str) -> list[Instruction]:
        return [each for each in self.instructions if each.word == word]

    def only(self, word: str) -> Instruction:
        (instruction,) = self.all(word)
        return instruction

    @property
    def environment(self) -> dict[str, str]:
        """What its ``ENV`` set, as it is written."""
        pairs = [pair for each in self.all("ENV") for pair in shlex.split(each.value)]
        return dict(pair.split("=", 1) for pair in pairs)

    @property
    def healthcheck(self) -> tuple[dict[str, str], list[str]]:
        """The options of the health check, and its command."""
        options, _, command = self.only("HEALTHCHECK").value.partition("CMD ")
        return dict(re.findall(r"--([a-z-]+)=(\S+)", options)), json.loads(command)


def parsed(text: str) -> list[Stage]:
    """Return the stages of a Dockerfile."""
    lines = [line for line in text.splitlines() if not re.match(r"\s*(#|$)", line)]
    stages = [Stage()]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, value = line.partition(" ")
        if word == "FROM":
            base, _, name = value.partition(" AS ")
            stages.append(Stage(base, name))
        else:
            stages[-1].instructions.append(Instruction(word, " ".join(value.split())))
    return stages
