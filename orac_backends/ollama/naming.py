"""What a GGUF file is called inside Ollama. Pure.

The name holds the file's stem, and its tag tells the very file: its id, size and time of the last
change. So whether Ollama has it already is a look at the list, and a file that was replaced is
another model. Rules for names: types/model/name.go of Ollama.

A model with adapters is a model of its own inside Ollama, made of the one that it is in ORAC; its
tag tells which that is, and which adapters.
"""

import hashlib
import re
from collections.abc import Sequence

from orac_core import Adapter, ModelFile

_LONGEST = 80
_ALIEN = re.compile(r"[^A-Za-z0-9_.-]+")
_TAG = "orac-"
_DIGITS = 12
_DRESSED = "orac-lora-"


def name_of(file: ModelFile) -> str:
    """Return the name that *file* has inside Ollama, once it was handed over."""
    facts = f"{file.id}\n{file.size_bytes}\n{file.modified_at!r}".encode()
    return f"{_plain(file.id)}:{_TAG}{hashlib.sha256(facts).hexdigest()[:_DIGITS]}"


def dressed_name(name: str, digest: str, adapters: Sequence[Adapter]) -> str:
    """Return what the model of that name and digest is called with *adapters* on it."""
    facts = "\n".join(f"{it.sha256} {it.scale!r}" for it in adapters).encode()
    worn = hashlib.sha256(facts).hexdigest()[:_DIGITS]
    return f"{name.rpartition(':')[0] or name}:{_DRESSED}{digest[:_DIGITS]}-{worn}"


def is_dressed(name: str, digest: str = "") -> bool:
    """Whether that is a model with adapters, made of the one with that *digest* if it is given."""
    of_one = f"{digest[:_DIGITS]}-" if digest else ""
    return name.rpartition(":")[2].lower().startswith(f"{_DRESSED}{of_one}")


def part_name(number: int, count: int) -> str:
    """Return what one file of a model is called in the order to create it."""
    return f"model-{number:05d}-of-{count:05d}.gguf" if count > 1 else "model.gguf"


def same(one: str, other: str) -> bool:
    """Whether Ollama takes two names for one: letter case and the tag ``latest`` do not count."""
    return _folded(one) == _folded(other)


def short(name: str) -> str | None:
    """Return *name* without the tag ``latest``; None when it has another."""
    base, _, tag = name.rpartition(":")
    return base if base and tag.lower() == "latest" else None


def _folded(name: str) -> str:
    name = name.lower()
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _plain(stem: str) -> str:
    stem = stem[: -len(".gguf")] if stem.lower().endswith(".gguf") else stem
    plain = _ALIEN.sub("-", stem).lstrip("-.")
    return plain[:_LONGEST] or "model"
