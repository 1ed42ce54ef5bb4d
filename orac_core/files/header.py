"""What the header of a GGUF says about its model.

Names of the keys: the GGUF specification and ``gguf.constants.Keys``.
"""

import re
from collections.abc import Iterator

from attrs import frozen

from ..shape import ENCODERS, Shape, Weights, batch_tokens, pooling_of
from .ggml_types import FILE_TYPES
from .malformed import Malformed, printing, quoted
from .metadata import Metadata, Text
from .tensors import TensorTable

_SHOWN_NAME = 200  # characters
_NAME_BYTES = 1024
_TEMPLATE_BYTES = 4 * 1024**2  # looked through for suspicious names
_GUESSED = 1024  # flag of llama.h: the tool that wrote the file type was not sure

_SUSPICIOUS = re.compile(rb"__[a-z]\w*__|\\x5f|\\u005f", re.IGNORECASE)
"""Python's inner names have no place in a chat template, nor has an underscore in disguise."""

_TOOLS = re.compile(rb"\btools\b")


@frozen(kw_only=True)
class GgufHeader:
    """What the header of a GGUF says. None stands where it says nothing.

    Attributes:
        version: Of the format: 2 or 3.
        architecture: ``qwen3``, ``llama`` …; None only in the later parts of a split model.
        kind: ``general.type``: ``model``, ``adapter``, ``mmproj`` …
        name: What the maker calls the model, shortened to 200 printing characters.
        parameters: Number of weights, counted in the tensor table and never taken on trust.
        quantization: ``Q4_K_M``, ``F16`` …: ``general.file_type``, else the tensor type that
            takes the most bytes.
        context_length: Tokens the model was trained for.
        layers: Number of blocks.
        heads: Attention heads of the layer that has the most; None for a model without attention.
        kv_heads: The same for keys and values; equals ``heads`` when the file does not say.
        kv_heads_by_layer: One number for each layer where layers differ; empty where they do not.
        embedding_length: Width of a token's vector.
        key_length: Width of one key head, when the file says so.
        value_length: Width of one value head, when the file says so.
        sliding_window: Tokens that a layer with windowed attention looks back.
        vocabulary_size: Number of tokens.
        tokenizer: ``gpt2``, ``llama`` …
        has_chat_template: Whether there is one. Its text is never kept and never run.
        chat_template_suspicious: Whether it holds names such as ``__class__``, or is too long to
            be looked through.
        offers_tools: Whether it has a place for tools.
        pooling: How it makes one vector of a text: ``mean``, ``cls``, ``last``, or ``rank`` for one
            that only compares texts; None for a model that continues text.
        tensor_count: Number of tensors.
        tensor_bytes: Bytes of the weights, without padding.
        data_offset: Bytes from the start of the file to the weights.
        needed_bytes: Bytes that a whole file has at least.
        weights: The same bytes, by what an engine does with them.
        shape: What its memory is made of; None where the file does not say enough, and in the
            later parts of a split model.
        split_no: Number of this part, from 0; None in a whole model.
        split_count: Number of parts; None in a whole model.
        warnings: What is odd and need not keep the model from working.
    """

    version: int
    architecture: str | None
    kind: str | None
    name: str | None
    parameters: int
    quantization: str | None
    context_length: int | None
    layers: int | None
    heads: int | None
    kv_heads: int | None
    kv_heads_by_layer: tuple[int, ...]
    embedding_length: int | None
    key_length: int | None
    value_length: int | None
    sliding_window: int | None
    vocabulary_size: int | None
    tokenizer: str | None
    has_chat_template: bool
    chat_template_suspicious: bool
    offers_tools: bool
    pooling: str | None
    tensor_count: int
    tensor_bytes: int
    data_offset: int
    needed_bytes: int
    weights: Weights
    shape: Shape | None
    split_no: int | None
    split_count: int | None
    warnings: tuple[str, ...]

    @property
    def is_encoder(self) -> bool:
        """Whether it reads a text as a whole, and continues none."""
        return self.architecture in ENCODERS

    def batch_tokens(self, context_length: int) -> int:
        """Return the tokens of a text that ORAC's llama.cpp worker computes at a time."""
        return batch_tokens(self.pooling, context_length, is_encoder=self.is_encoder)


def described(version: int, keys: Metadata, tensors: TensorTable, data_offset: int) -> GgufHeader:
    """Return the header that was walked over.

    Raises:
        Malformed: A value is of the wrong type, or what every model needs is missing.
    """
    split_no, split_count = _split(keys)
    architecture = _architecture(keys, split_no)
    _require_tensors(tensors, split_count)
    prefix = architecture or ""
    heads = keys.numbers(f"{prefix}.attention.head_count")
    kv_heads = keys.numbers(f"{prefix}.attention.head_count_kv") or heads
    has_template, suspicious = _chat_template(keys)
    context_length = _positive(keys, f"{prefix}.context_length")
    return GgufHeader(
        version=version,
        architecture=architecture,
        kind=_shown(keys, "general.type"),
        name=_shown(keys, "general.name"),
        parameters=tensors.parameters,
        quantization=_quantization(keys, tensors),
        context_length=context_length,
        layers=_positive(keys, f"{prefix}.block_count"),
        heads=_most(heads),
        kv_heads=_most(kv_heads),
        kv_heads_by_layer=kv_heads if len(set(kv_heads)) > 1 else (),
        embedding_length=_positive(keys, f"{prefix}.embedding_length"),
        key_length=_amount(keys, f"{prefix}.attention.key_length"),
        value_length=_amount(keys, f"{prefix}.attention.value_length"),
        sliding_window=_amount(keys, f"{prefix}.attention.sliding_window"),
        vocabulary_size=_vocabulary_size(keys, prefix),
        tokenizer=_shown(keys, "tokenizer.ggml.model"),
        has_chat_template=has_template,
        chat_template_suspicious=suspicious,
        offers_tools=_offers_tools(keys),
        pooling=pooling_of(architecture, keys.whole_number(f"{prefix}.pooling_type")),
        tensor_count=tensors.count,
        tensor_bytes=tensors.size_bytes,
        data_offset=data_offset,
        needed_bytes=data_offset + tensors.end,
        weights=tensors.weights,
        shape=_shape(keys, architecture, tensors.weights),
        split_no=split_no,
        split_count=split_count,
        warnings=tuple(_warnings(architecture, context_length, tensors, suspicious=suspicious)),
    )


def _shape(keys: Metadata, architecture: str | None, weights: Weights) -> Shape | None:
    if architecture is None:
        return None
    try:
        told = {name: keys.flags(f"{architecture}.{name}") for name in Shape.FACTS}
    except Malformed:  # said in a way unknown here, which need not keep an engine from reading it
        return None
    return Shape.of(
        architecture,
        {name: values for name, values in told.items() if values},
        weights,
        vocabulary_size=keys.count("tokenizer.ggml.tokens") or 0,
        merges=keys.count("tokenizer.ggml.merges") or 0,
    )


def _split(keys: Metadata) -> tuple[int | None, int | None]:
    """Return the number of the part and of parts; a split into one is no split."""
    number, count = keys.whole_number("split.no") or 0, keys.whole_number("split.count") or 0
    if count <= 1:
        return None, None
    if number >= count:
        raise Malformed(f"it says it is part {number + 1} of {count}")
    return number, count


def _architecture(keys: Metadata, split_no: int | None) -> str | None:
    raw = keys.text("general.architecture", _NAME_BYTES)
    if not raw:
        if split_no:
            return None
        raise Malformed("it does not say its architecture (general.architecture is missing)")
    name = raw.decode(errors="replace")
    if not name.isprintable():
        raise Malformed(f"general.architecture is {quoted(name)}, which does not print")
    return name


def _require_tensors(tensors: TensorTable, split_count: int | None) -> None:
    if tensors.count == 0 and split_count is None:
        raise Malformed("it has no tensors, perhaps only a vocabulary")


def _shown(keys: Metadata, key: str) -> str | None:
    """Return a text that is only ever shown: never refused, always short and printing."""
    raw = keys.text(key, _NAME_BYTES)
    if not raw:
        return None
    return printing(raw.decode(errors="replace")[:_SHOWN_NAME])


def _positive(keys: Metadata, key: str) -> int | None:
    """Return a size that no model is without; llama.cpp crashes when one is 0."""
    number = keys.whole_number(key)
    if number == 0:
        raise Malformed(f"{quoted(key)} is 0")
    return number


def _amount(keys: Metadata, key: str) -> int | None:
    """Return a size. 0 counts as not said: nothing may divide by it."""
    return keys.whole_number(key) or None


def _most(by_layer: tuple[int, ...]) -> int | None:
    return max(by_layer, default=0) or None


def _quantization(keys: Metadata, tensors: TensorTable) -> str | None:
    number = keys.whole_number("general.file_type")
    known = None if number is None else FILE_TYPES.get(number & ~_GUESSED)
    return known or tensors.main_type


def _vocabulary_size(keys: Metadata, prefix: str) -> int | None:
    tokens = keys.count("tokenizer.ggml.tokens")
    return tokens or _amount(keys, f"{prefix}.vocab_size")


def _chat_template(keys: Metadata) -> tuple[bool, bool]:
    """Return whether there is a template, and whether any template is suspicious."""
    names = [key for key in keys.values if key.startswith("tokenizer.chat_template")]
    suspicious = any(_suspicious(keys, name) for name in names)
    return bool(keys.text("tokenizer.chat_template", 1)), suspicious


def _offers_tools(keys: Metadata) -> bool:
    """Whether the template looks for tools, or there is another for them."""
    name = "tokenizer.chat_template"
    if f"{name}.tool_use" in keys.values:
        return True
    value = keys.values.get(name)
    return isinstance(value, Text) and bool(_TOOLS.search(keys.text(name, _TEMPLATE_BYTES) or b""))


def _suspicious(keys: Metadata, name: str) -> bool:
    value = keys.values[name]
    if not isinstance(value, Text):
        return False
    if value.length > _TEMPLATE_BYTES:
        return True
    return _SUSPICIOUS.search(keys.text(name, _TEMPLATE_BYTES) or b"") is not None


def _warnings(
    architecture: str | None,
    context_length: int | None,
    tensors: TensorTable,
    *,
    suspicious: bool,
) -> Iterator[str]:
    if suspicious:
        yield "its chat template holds names that belong to attacks, as __class__ does"
    if architecture is not None and context_length is None:
        yield f"it does not say its context length ({quoted(architecture + '.context_length')})"
    if tensors.has_gaps:
        yield "it has gaps between its tensors, which older engines refuse"
