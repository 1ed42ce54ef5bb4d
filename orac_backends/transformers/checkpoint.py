"""A folder with a checkpoint of Hugging Face's, as far as its files tell without running anything.

What could run code is not used: weights as pickle, code that a configuration names (``auto_map``),
kernels from the net, weights under another name than those that are checked here.
"""

import re
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from attrs import evolve, frozen

from orac_core import Shape

from .shapes import facts, shape, weighs
from .tensors import Tensor, Unusable, tensors

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
_PICKLES = re.compile(r".*\.(?:bin|pt|pth|ckpt)")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
_PART = re.compile(r"[\w-][\w.-]*\.safetensors")
_CONTINUES = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
_MAX_BYTES = 16 << 20
_MAX_NAMES = 4096  # files of a folder
_MAX_SHOWN = 3
_MAX_TEXT = 100


@frozen(kw_only=True)
class Checkpoint:
    """A checkpoint that was found.

    Attributes:
        id: What it is called.
        path: Its folder.
        parts: The files with its weights.
        problem: Why it can not be used; None where it can.
        note: What of it is not used.
        size_bytes: Size of its weights on the disk.
        modified_at: Time of the last change of its files, in seconds since 1970.
        architecture: Its ``model_type``.
        parameters: Number of weights.
        quantization: How it is quantized, else the type of most of its weights.
        context_length: Tokens that it was trained for; None where it does not say.
        layers: Number of its layers.
        has_chat_template: Whether it has a template for conversations.
        shape: What its memory is made of.
        weights_bytes: What its weights take in memory.
    """

    id: str
    path: Path
    parts: tuple[Path, ...] = ()
    problem: str | None = None
    note: str | None = None
    size_bytes: int | None = None
    modified_at: float | None = None
    architecture: str | None = None
    parameters: int | None = None
    quantization: str | None = None
    context_length: int | None = None
    layers: int | None = None
    has_chat_template: bool = False
    shape: Shape | None = None
    weights_bytes: int | None = None


def is_checkpoint(names: frozenset[str]) -> bool:
    """Whether a folder with files of these names looks like a checkpoint, usable or not."""
    if CONFIG not in names:
        return False
    return any(it.endswith(".safetensors") or it == INDEX or _PICKLES.fullmatch(it) for it in names)


def checkpoint(model: str, path: Path, width: int | None = None) -> Checkpoint:
    """Return the checkpoint in the folder *path*; one that can not be used has a problem.

    Args:
        model: What it is called.
        path: The folder.
        width: Bytes of a number, into which floats are turned; None leaves them as they are.
    """
    bare = Checkpoint(id=model, path=path)
    try:
        return _read(bare, width)
    except Unusable as error:
        return evolve(bare, problem=str(error))
    except OSError as error:
        return evolve(bare, problem=f"cannot be read: {error.strerror}")


def _read(bare: Checkpoint, width: int | None) -> Checkpoint:
    names = _names(bare.path)
    config = _object(bare.path / CONFIG)
    _check_config(config, names)
    parts = tuple(bare.path / name for name in _parts(bare.path, names))
    found = _tensors(bare.path, parts)
    known = facts(config)
    status = [part.stat() for part in parts]
    return evolve(
        bare,
        parts=parts,
        note=_note(config),
        size_bytes=sum(it.st_size for it in status),
        modified_at=max(it.st_mtime for it in status),
        architecture=_text(config.get("model_type")),
        parameters=sum(it.elements for it in found),
        quantization=_quantization(config, found),
        context_length=known.get("context_length"),
        layers=known.get("block_count"),
        has_chat_template=_has_template(bare.path, names),
        shape=shape(_text(config.get("model_type")) or "", known, found, width),
        weights_bytes=sum(weighs(it, width) for it in found),
    )


def _names(path: Path) -> frozenset[str]:
    names = frozenset(it.name for it in islice(path.iterdir(), _MAX_NAMES + 1))
    if len(names) > _MAX_NAMES:
        raise Unusable(f"its folder has more than {_MAX_NAMES} files")
    return names


def _check_config(config: Mapping[str, Any], names: frozenset[str]) -> None:
    """Refuse what can not be served, or not without running or reading something unchecked."""
    made_for = config.get("architectures")
    known = [it for it in made_for if isinstance(it, str)] if isinstance(made_for, list) else []
    if known and not any(it.endswith(_CONTINUES) for it in known):
        raise Unusable(f"it continues no text: it is made as {_shown(known)}")
    if "adapter_config.json" in names:
        raise Unusable("it is an adapter (adapter_config.json), no whole model: merge it first")
    if "transformers_weights" in config:
        raise Unusable(f"{CONFIG} names weights of its own (transformers_weights); remove that key")
    if any("/" in it for it in _implementations(config)):
        raise Unusable(f"{CONFIG} asks for code from the net (attn_implementation); remove it")
    if not any(it in names for it in _TOKENIZERS):
        raise Unusable(f"it has no tokenizer: none of {', '.join(_TOKENIZERS)} is there")


def _implementations(config: Mapping[str, Any]) -> list[str]:
    values = [value for name, value in config.items() if name.endswith("_implementation")]
    nested = [it for value in values if isinstance(value, Mapping) for it in value.values()]
    return [it for it in (*values, *nested) if isinstance(it, str)]


def _parts(path: Path, names: frozenset[str]) -> list[str]:
    """Return the names of the files with weights, chosen as transformers does."""
    if WEIGHTS in names:
        return [WEIGHTS]
    if INDEX in names:
        return _listed(path, names)
    if pickled := sorted(it for it in names if _PICKLES.fullmatch(it)):
        raise Unusable(
            f"its weights are pickled ({_shown(pickled)}), and reading a pickle runs whatever code "
            "is in it: take a version with safetensors",
        )
    raise Unusable(f"it has neither {WEIGHTS} nor {INDEX}")


def _listed(path: Path, names: frozenset[str]) -> list[str]:
    parts = sorted(set(_placed(path).values()))
    if strange := [it for it in parts if not _PART.fullmatch(it)]:
        raise Unusable(f"{INDEX} names what is no file of its folder: {_shown(strange)}")
    if missing := [it for it in parts if it not in names]:
        raise Unusable(f"{_shown(missing)} is missing, {len(missing)} of {len(parts)} parts")
    return parts


def _placed(path: Path) -> dict[str, str]:
    """Return which tensor is in which part."""
    placed = _object(path / INDEX).get("weight_map")
    if not isinstance(placed, dict) or not placed:
        raise Unusable(f"{INDEX} has no `weight_map`")
    if not all(isinstance(it, str) for it in placed.values()):
        raise Unusable(f"{INDEX} names what is no file")
    return placed


def _tensors(path: Path, parts: tuple[Path, ...]) -> list[Tensor]:
    found = [tensor for part in parts for tensor in _of_part(part)]
    if parts[0].name != WEIGHTS:
        lacking = sorted(set(_placed(path)) - {tensor.name for tensor in found})
        if lacking:
            raise Unusable(f"no part has the tensor {_shown(lacking)} that {INDEX} tells of")
    return found


def _of_part(part: Path) -> tuple[Tensor, ...]:
    try:
        return tensors(part)
    except Unusable as error:
        raise Unusable(f"{part.name}: {error}") from error
    except OSError as error:
        raise Unusable(f"{part.name} cannot be read: {error.strerror}") from error


def _object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file that should be a small one."""
    with path.open("rb") as file:
        raw = file.read(_MAX_BYTES + 1)
    if len(raw) > _MAX_BYTES:
        raise Unusable(f"{path.name} is longer than {_MAX_BYTES} bytes")
    try:
        found = orjson.loads(raw)
    except ValueError as error:
        raise Unusable(f"{path.name} is not JSON: {error}; copy it again") from error
    if not isinstance(found, dict):
        raise Unusable(f"{path.name} is not a JSON object")
    return found


def _has_template(path: Path, names: frozenset[str]) -> bool:
    if "chat_template.jinja" in names:
        return True
    if "tokenizer_config.json" not in names:
        return False
    return bool(_object(path / "tokenizer_config.json").get("chat_template"))


def _note(config: Mapping[str, Any]) -> str | None:
    if "auto_map" not in config:
        return None
    return (
        "it brings code of its own (auto_map), which is never run: it is served by what "
        "transformers itself has for it, or not at all"
    )


def _quantization(config: Mapping[str, Any], found: list[Tensor]) -> str:
    stated = config.get("quantization_config")
    if isinstance(stated, Mapping) and (method := _text(stated.get("quant_method"))):
        return method
    counted: Counter[str] = Counter()
    for tensor in found:
        counted[tensor.dtype] += tensor.elements
    return counted.most_common(1)[0][0]


def _text(value: object) -> str | None:
    """Return a short text that can be shown; None for anything else."""
    return (
        value if isinstance(value, str) and value.isprintable() and len(value) < _MAX_TEXT else None
    )


def _shown(names: list[str]) -> str:
    more = ", …" if len(names) > _MAX_SHOWN else ""
    return ", ".join(ascii(it[:80])[1:-1] for it in names[:_MAX_SHOWN]) + more
