"""A LoRA adapter on the disk: what it says of itself, and whether it fits a model.

The rules are those of ``llama-adapter.cpp`` of llama.cpp, which refuses what breaks them only once
the model is in memory.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

from ..errors import ModelFileInvalid
from .gguf import Contents, read_contents
from .malformed import quoted

Shapes = Mapping[str, tuple[int, ...]]
"""The lengths of tensors by their names, the one of a row first."""

_ENDINGS = (".lora_a", ".lora_b")
_IGNORED = "_norm.weight"
_TABLE = "token_embd.weight"
_MATRIX = 2


@frozen
class AdapterFile:
    """A LoRA adapter that is whole.

    Attributes:
        path: The file.
        architecture: Of the models it is made for: ``llama``, ``qwen3`` …
        tensors: Its tensors.
        size_bytes: Of its tensors, which is what they take in memory.
    """

    path: Path
    architecture: str
    tensors: Shapes
    size_bytes: int


def read_adapter(path: Path) -> AdapterFile:
    """Return a LoRA adapter, after checking that it is one and whole.

    It blocks for milliseconds, so call it in a thread.

    Raises:
        ModelFileInvalid: It can not be read, is not whole, or is no LoRA adapter.
    """
    found = read_contents(path)
    if problem := _no_adapter(found) or _no_pairs(found.shapes):
        raise ModelFileInvalid(path, problem)
    header = found.header
    return AdapterFile(path, header.architecture or "", found.shapes, header.tensor_bytes)


def misfit(adapter: AdapterFile, architecture: str | None, tensors: Shapes | None) -> str | None:
    """Return why an adapter does not fit a model; None when nothing speaks against it.

    Args:
        adapter: The adapter.
        architecture: Of the model; None where that is not known.
        tensors: Of the model; None where they are not known.
    """
    if architecture is not None and architecture != adapter.architecture:
        return (
            f"it is made for models of the architecture {quoted(adapter.architecture)}, and this "
            f"one is of {quoted(architecture)}; take the adapter of this model"
        )
    if tensors is None:
        return None
    pairs = ((name, a, b, tensors.get(name)) for name, a, b in _pairs(adapter.tensors))
    return next((why for pair in pairs if (why := _unlike(*pair))), None)


def _no_adapter(found: Contents) -> str | None:
    if found.header.kind != "adapter":
        kind = quoted(found.header.kind or "model")
        return f"it is no adapter: its general.type is {kind}; take the file of a LoRA adapter"
    if found.adapter != "lora":
        return f"its adapter.type is {quoted(found.adapter or 'missing')}; only lora can be used"
    return None


def _no_pairs(tensors: Shapes) -> str | None:
    """Return which tensor is not one of a pair of matrices that fit each other."""
    for name, shape in tensors.items():
        base, ending = name[: -len(_ENDINGS[0])], name[-len(_ENDINGS[0]) :]
        if ending not in _ENDINGS:
            if name.endswith(_IGNORED):
                continue
            return f"the tensor {quoted(name)} belongs to no LoRA adapter"
        if any(base + each not in tensors for each in _ENDINGS):
            return f"the tensor {quoted(name)} lacks the other one of its pair"
        if len(shape) != _MATRIX:
            return f"the tensor {quoted(name)} is no matrix"
    return None if any(_pairs(tensors)) else "it has no tensors of a LoRA adapter"


def _pairs(tensors: Shapes) -> Iterator[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """Yield the name of each tensor of the model that is adapted, with what is put on it."""
    first, second = _ENDINGS
    for name, shape in tensors.items():
        if name.endswith(first):
            base = name[: -len(first)]
            yield base, shape, tensors[base + second]


def _unlike(
    name: str, a: tuple[int, ...], b: tuple[int, ...], of_model: tuple[int, ...] | None
) -> str | None:
    if of_model is None:
        return f"it adapts {quoted(name)}, which this model has not; is it made for another one?"
    ranks, ends = ((a[0], b[0]), (b[1], a[1])) if name == _TABLE else ((a[1], b[0]), (a[0], b[1]))
    if ranks[0] != ranks[1] or of_model[:_MATRIX] != ends:
        shown = " x ".join(map(str, of_model))
        return (
            f"its matrices for {quoted(name)} do not fit that of this model ({shown}); is it made "
            "for another one?"
        )
    return None
