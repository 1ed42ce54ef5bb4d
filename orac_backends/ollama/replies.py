"""What Ollama says of its models, as values. Pure; fields that are absent are None."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import frozen

from orac_core import Shape, Weights

_FOR_EVER_YEAR = 2200
_FROM = re.compile(r"^FROM .*(sha256-[0-9a-f]{64})\s*$", re.MULTILINE)
_SIZES = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


@frozen
class Installed:
    """A model on Ollama's disk (``GET /api/tags``).

    Attributes:
        name: With its tag.
        digest: Of its manifest; names with one digest are one model.
        size_bytes: On the disk.
        modified_at: In seconds since 1970.
        family: Architecture.
        parameters: Number of weights, rounded as Ollama rounds it.
        quantization: None where Ollama does not know.
        context_length: That the model was trained for; None from servers before 0.30.
        capabilities: None from servers before 0.30.
    """

    name: str
    digest: str
    size_bytes: int | None = None
    modified_at: float | None = None
    family: str | None = None
    parameters: int | None = None
    quantization: str | None = None
    context_length: int | None = None
    capabilities: tuple[str, ...] | None = None


@frozen
class Running:
    """A model that has a runner (``GET /api/ps``), which may have died since.

    Attributes:
        name: The name it was loaded by first; other names of it are not told.
        digest: Of its manifest.
        size_bytes: Memory that it takes in all.
        vram_bytes: How much of that is on a GPU.
        expires_at: When it will be unloaded, in seconds since 1970; None for never.
        context_length: That was allocated; None from old servers.
    """

    name: str
    digest: str
    size_bytes: int
    vram_bytes: int
    expires_at: float | None
    context_length: int | None = None

    @property
    def on_gpu_ratio(self) -> float | None:
        """Share of its memory on a GPU, 0 to 1."""
        return min(1.0, self.vram_bytes / self.size_bytes) if self.size_bytes else None


@frozen
class Shown:
    """What ``POST /api/show`` adds to a model.

    Attributes:
        capabilities: What it can do.
        context_length: That the model was trained for.
        architecture: None where Ollama does not say.
        facts: What its memory is made of; empty where a list of one number for each layer is left
            out, as Ollama leaves out all lists.
        blobs: Names of the files in Ollama's store that it is made of.
    """

    capabilities: tuple[str, ...]
    context_length: int | None
    architecture: str | None = None
    facts: Mapping[str, tuple[int, ...]] = {}
    blobs: frozenset[str] = frozenset()

    def shape(self, size_bytes: int | None) -> Shape | None:
        """Return what the memory of a model of that size is made of; None where that is unknown.

        Ollama does not say how large each layer is, so all bytes are spread evenly over them.
        """
        blocks = self.facts.get("block_count", (0,))[0]
        if not self.architecture or not size_bytes or not 0 < blocks <= Shape.MAX_BLOCKS:
            return None
        return Shape.of(self.architecture, self.facts, Weights.spread(size_bytes, blocks))


def installed(told: Mapping[str, Any]) -> Installed:
    """Return an entry of ``/api/tags``."""
    details = told.get("details") or {}
    capabilities = told.get("capabilities")
    quantization = details.get("quantization_level")
    return Installed(
        name=str(told["name"]),
        digest=str(told["digest"]),
        size_bytes=_number(told.get("size")),
        modified_at=_time(told.get("modified_at")),
        family=details.get("family") or None,
        parameters=_parameters(details.get("parameter_size")),
        quantization=None if quantization in (None, "", "unknown") else str(quantization),
        context_length=_number(details.get("context_length")),
        capabilities=None if capabilities is None else tuple(map(str, capabilities)),
    )


def running(told: Mapping[str, Any]) -> Running:
    """Return an entry of ``/api/ps``."""
    return Running(
        name=str(told["name"]),
        digest=str(told["digest"]),
        size_bytes=_number(told.get("size")) or 0,
        vram_bytes=_number(told.get("size_vram")) or 0,
        expires_at=_time(told.get("expires_at")),
        context_length=_number(told.get("context_length")),
    )


def shown(told: Mapping[str, Any]) -> Shown:
    """Return the answer of ``/api/show``."""
    facts = told.get("model_info") or {}
    architecture = facts.get("general.architecture")
    return Shown(
        tuple(map(str, told.get("capabilities") or ())),
        _number(facts.get(f"{architecture}.context_length")),
        architecture,
        _told_of_memory(facts, f"{architecture}."),
        frozenset(_FROM.findall(str(told.get("modelfile") or ""))),
    )


def _told_of_memory(facts: Mapping[str, Any], prefix: str) -> dict[str, tuple[int, ...]]:
    told = {name: facts[prefix + name] for name in Shape.FACTS if prefix + name in facts}
    numbers = {name: _numbers(value) for name, value in told.items()}
    return {} if None in numbers.values() else {name: it for name, it in numbers.items() if it}


def _numbers(value: object) -> tuple[int, ...] | None:
    listed = value if isinstance(value, list) else [value]
    found = [int(each) if isinstance(each, bool) else _number(each) for each in listed]
    return None if None in found else tuple(each for each in found if each is not None)


def _number(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return value


def _time(value: object) -> float | None:
    """Return seconds since 1970; "for ever" is written as a time in centuries."""
    try:
        when = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return when.timestamp() if 1 < when.year < _FOR_EVER_YEAR else None


def _parameters(text: object) -> int | None:
    """Return the number that ``8.0B`` or ``125K`` stands for."""
    if not isinstance(text, str) or not text:
        return None
    factor = _SIZES.get(text[-1].upper(), 1.0)
    try:
        return round(float(text.rstrip("KMBTkmbt")) * factor)
    except ValueError:
        return None
