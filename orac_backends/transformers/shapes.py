"""What the memory of a checkpoint is made of: its ``config.json`` and its tensors, joined. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from orac_core import Shape, Weights

from .tensors import Tensor

_RUNTIME_BYTES = 400 << 20  # resident in a worker that has imported torch and transformers
_USUAL_CACHE_BYTES = 2  # a number of the cache, as the estimate counts it: F16
_MAX_NUMBER = 1 << 31
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
_BLOCK = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d{1,4})\.")
_EMBEDDING = re.compile(r"(?:embed_tokens|wte|word_embeddings|embed_in)\.weight$")
_OUTPUT = re.compile(r"(?:^|\.)(?:lm_head|embed_out)\.weight$")

# Under which names a `config.json` tells a fact of `Shape`; older architectures have their own.
_FACTS = {
    "block_count": ("num_hidden_layers", "n_layer", "n_layers"),
    "context_length": ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"),
    "embedding_length": ("hidden_size", "n_embd", "d_model"),
    "feed_forward_length": ("intermediate_size", "n_inner", "ffn_dim"),
    "vocab_size": ("vocab_size",),
    "attention.head_count": ("num_attention_heads", "n_head", "n_heads"),
    "attention.head_count_kv": ("num_key_value_heads",),
    "attention.key_length": ("head_dim",),
    "attention.value_length": ("head_dim",),
}


def facts(config: Mapping[str, Any]) -> dict[str, int]:
    """Return the numbers that a configuration tells, by the names that `Shape` has for them."""
    inner = config.get("text_config")
    told = inner if isinstance(inner, Mapping) else config
    found = {fact: _first(told, names) for fact, names in _FACTS.items()}
    return {fact: value for fact, value in found.items() if value is not None}


def shape(
    architecture: str, known: Mapping[str, int], found: Iterable[Tensor], width: int | None
) -> Shape | None:
    """Return the shape of a model; None where its configuration does not say enough.

    Args:
        architecture: Its ``model_type``.
        known: What `facts` tells.
        found: Its tensors.
        width: Bytes of a number, into which floats are turned; None leaves them as they are.
    """
    weights = Weights(other=_RUNTIME_BYTES)
    for tensor in found:
        weights += _weight(tensor.name, weighs(tensor, width))
    if known.get("block_count", 0) > Shape.MAX_BLOCKS:
        return None
    wide = (width or _USUAL_CACHE_BYTES) / _USUAL_CACHE_BYTES
    listed = {name: (value,) for name, value in _cached(known, wide).items()}
    return Shape.of(architecture, listed, weights)


def weighs(tensor: Tensor, width: int | None) -> int:
    """Return the bytes of a tensor in memory, whose floats have *width* bytes."""
    turned = width is not None and tensor.dtype in _FLOATS
    return tensor.elements * width if turned and width else tensor.size_bytes


def _cached(known: Mapping[str, int], wide: float) -> dict[str, int]:
    """Return the facts with the widths of a cache whose numbers are so many times the usual."""
    heads = known.get("attention.head_count", 0)
    head = known.get("attention.key_length") or (
        known.get("embedding_length", 0) // heads if heads else 0
    )
    return dict(known) | dict.fromkeys(
        ("attention.key_length", "attention.value_length"), int(head * wide)
    )


def _weight(name: str, size: int) -> Weights:
    if found := _BLOCK.search(name):
        number = int(found[1])
        far = number >= Shape.MAX_BLOCKS
        return Weights(other=size) if far else Weights((0,) * number + (size,))
    if _EMBEDDING.search(name):
        return Weights(embedding=size)
    return Weights(output=size) if _OUTPUT.search(name) else Weights(other=size)


def _first(told: Mapping[str, Any], names: Iterable[str]) -> int | None:
    values = (told.get(name) for name in names)
    return next(
        (it for it in values if type(it) is int and 0 < it < _MAX_NUMBER),
        None,
    )
