"""What the memory of a model is made of: bytes and counts, as its file says. Pure.

Names of the facts are those of the keys in a GGUF (``gguf.constants.Keys``) without the
architecture before them; what they mean is in ``llama-hparams.cpp`` and ``src/models`` of
llama.cpp.
"""

from collections.abc import Mapping
from typing import ClassVar, Self

from attrs import evolve, field, frozen

Facts = Mapping[str, tuple[int, ...]]
"""What the keys say: one number, or one for each layer. A key that is absent is not in it."""

_MAX_BLOCKS = 4096  # the largest models have under 200

_FACTS = (
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "vocab_size",
    "full_attention_interval",
    "expert_used_count",
    "expert_feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.key_length_swa",
    "attention.value_length_swa",
    "attention.key_length_mla",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "attention.shared_kv_layers",
    "pooling_type",
    "ssm.conv_kernel",
    "ssm.inner_size",
    "ssm.state_size",
    "ssm.group_count",
)
# Of each so many layers, all but the last look back a window only; the file does not say so.
_WINDOW_PERIODS = {
    "cohere2": 4,
    "exaone4": 4,
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "gpt-oss": 2,
    "olmo2": 4,
}

# Without a gate, the feed-forward part holds one vector of its width at a time, else three.
_UNGATED = frozenset(
    {"bloom", "codeshell", "falcon", "gpt2", "gptj", "gptneox", "mpt", "phi2", "starcoder"}
    | {"starcoder2"}
)
# They read a text as a whole, remember nothing of it, and continue none (``create_memory``).
ENCODERS = frozenset(
    {
        "bert",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
    }
)
"""Architectures that turn a text into a vector, and continue no text."""

_POOLINGS = {1: "mean", 2: "cls", 3: "last", 4: "rank"}  # llama_pooling_type
_BATCH = 512
_SMALL_BATCH = 128

_PATTERN = "attention.sliding_window_pattern"
_F32 = 4


def pooling_of(architecture: str | None, number: int | None) -> str | None:
    """Return how a model makes one vector of those of all tokens: ``mean``, ``cls``, ``last``.

    It is ``rank`` for one that only says how well two texts go together, and None for one that
    continues text. *number* is what its file says.
    """
    return _POOLINGS.get(number or 0, "mean" if architecture in ENCODERS else None)


def batch_tokens(pooling: str | None, context_length: int, *, is_encoder: bool) -> int:
    """Return the tokens that ORAC's llama.cpp worker computes at a time (``n_ubatch``).

    An encoder has to see a text as a whole. Where vectors are made of a model that continues text,
    the engine computes what comes next after every token too, and keeps it twice: 1 MiB for each
    token of a batch, where the vocabulary is large. The last vector needs no large batch.
    """
    if is_encoder:
        return context_length
    return _SMALL_BATCH if pooling == "last" else _BATCH


@frozen(kw_only=True)
class Block:
    """One layer.

    Attributes:
        weights_bytes: Its weights.
        key_width: Numbers that its cache keeps for the key of a token; 0 without attention.
        value_width: The same for the value; 0 also where values are made from the keys (MLA).
        window: Tokens it looks back; 0 for all of them.
        state_bytes: What a recurrent layer remembers of a sequence, however long that is.
    """

    weights_bytes: int = 0
    key_width: int = 0
    value_width: int = 0
    window: int = 0
    state_bytes: int = 0


@frozen
class Weights:
    """The bytes of a model's tensors, by what an engine does with them.

    Attributes:
        blocks: Of each layer, by its number.
        embedding: The table that turns tokens into vectors; engines leave it with the CPU.
        output: The table that turns vectors into tokens; 0 where the embedding serves as one.
        other: Norms, positions and all the rest, which stay with the CPU.
    """

    blocks: tuple[int, ...] = ()
    embedding: int = 0
    output: int = 0
    other: int = 0

    @classmethod
    def spread(cls, total: int, blocks: int) -> Self:
        """Return weights of which only the sum is known, as if all of it lay in equal layers."""
        each, rest = divmod(total, blocks)
        return cls((each,) * blocks, other=rest)

    def __add__(self, more: Self) -> Self:
        """Return the weights of both, as the parts of a split model."""
        count = max(len(self.blocks), len(more.blocks))
        return type(self)(
            tuple(self.of_block(number) + more.of_block(number) for number in range(count)),
            self.embedding + more.embedding,
            self.output + more.output,
            self.other + more.other,
        )

    def of_block(self, number: int) -> int:
        """Return the bytes of one layer; 0 for one that is not there."""
        return self.blocks[number] if number < len(self.blocks) else 0


@frozen(kw_only=True)
class Shape:
    """What the memory of a model is made of.

    Attributes:
        FACTS: Names of the facts that a shape is made from.
        MAX_BLOCKS: Layers that a model may have.
        blocks: Its layers, the first one first.
        embedding_bytes: The table that turns tokens into vectors; it stays with the CPU.
        output_bytes: The table that turns vectors into tokens. 0 where the model is tied: the
            embedding serves as one, and is there twice once the output lies on a GPU.
        other_bytes: Norms, positions and all the rest, which stay with the CPU.
        context_length: Tokens the model was trained for; None where it does not say.
        embedding_width: Numbers in the vector of a token.
        query_width: Numbers in the queries of a token, all heads together.
        feed_forward_width: Numbers that the widest feed-forward part holds of a token at a time:
            three vectors where there is a gate, and those of all experts that are asked.
        widest_vector: Numbers in the widest vector that is multiplied by weights, for each token.
        vocabulary_size: Number of tokens.
        merges: Number of rules by which the tokenizer joins tokens.
        is_sparse: Whether a token asks only some experts, and so reads a part of the weights.
        is_encoder: Whether it reads a text as a whole and keeps no cache of it.
        pooling: How it is made to turn a text into one vector; None when it continues text.
    """

    FACTS: ClassVar[tuple[str, ...]] = _FACTS
    MAX_BLOCKS: ClassVar[int] = _MAX_BLOCKS

    blocks: tuple[Block, ...]
    embedding_bytes: int = 0
    output_bytes: int = 0
    other_bytes: int = 0
    context_length: int | None = None
    embedding_width: int
    query_width: int = 0
    feed_forward_width: int = 0
    widest_vector: int = 0
    vocabulary_size: int = 0
    merges: int = 0
    is_sparse: bool = False
    is_encoder: bool = False
    pooling: str | None = None

    @classmethod
    def of(
        cls,
        architecture: str,
        facts: Facts,
        weights: Weights,
        *,
        vocabulary_size: int = 0,
        merges: int = 0,
    ) -> Self | None:
        """Return the shape that the facts tell; None where they do not say enough."""
        known = _Known(architecture, facts)
        count, width = known.number("block_count"), known.number("embedding_length")
        if not 0 < count <= cls.MAX_BLOCKS or not width or not known.whole(count):
            return None
        bare = cls(
            blocks=known.blocks(count),
            context_length=known.number("context_length") or None,
            embedding_width=width,
            query_width=max(known.query_width(layer) for layer in range(count)),
            feed_forward_width=max(known.feed_forward(layer) for layer in range(count)),
            widest_vector=max(width, *(known.widest_vector(layer) for layer in range(count))),
            vocabulary_size=vocabulary_size or known.number("vocab_size"),
            merges=merges,
            is_sparse=known.number("expert_used_count") > 0,
            is_encoder=architecture in ENCODERS,
            pooling=pooling_of(architecture, known.number("pooling_type")),
        )
        return bare.weighing(weights)

    def weighing(self, weights: Weights) -> Self:
        """Return the same model with those weights; what belongs to no layer is ``other``."""
        count = len(self.blocks)
        return evolve(
            self,
            blocks=tuple(
                evolve(block, weights_bytes=weights.of_block(number))
                for number, block in enumerate(self.blocks)
            ),
            embedding_bytes=weights.embedding,
            output_bytes=weights.output,
            other_bytes=weights.other + sum(weights.blocks[count:]),
        )

    @property
    def is_tied(self) -> bool:
        """Whether the embedding serves as output, too."""
        return self.output_bytes == 0

    @property
    def weights_bytes(self) -> int:
        """All weights, each counted once."""
        blocks = sum(block.weights_bytes for block in self.blocks)
        return blocks + self.embedding_bytes + self.output_bytes + self.other_bytes


@frozen
class _Known:
    """The facts of one model, read as llama.cpp reads them."""

    architecture: str
    facts: Facts = field(repr=False)

    def number(self, name: str, layer: int = 0) -> int:
        """Return what a fact says of a layer; 0 where it says nothing."""
        values = self.facts.get(name, ())
        if len(values) > 1:
            return values[layer]
        return values[0] if values else 0

    def whole(self, count: int) -> bool:
        """Whether what is said of each layer is said of all, and what it needs is said at all."""
        listed = [
            values for name, values in self.facts.items() if name != _PATTERN and len(values) > 1
        ]
        if any(len(values) < count for values in listed):
            return False
        return "attention.head_count" in self.facts or "ssm.inner_size" in self.facts

    def blocks(self, count: int) -> tuple[Block, ...]:
        """Return the layers, without their weights.

        Where some have attention and some have not, only the latter remember a state.
        """
        heads = [self._kv_heads(layer) for layer in range(count)]
        state, everywhere = self._state_bytes(), all(heads)
        return tuple(
            self._block(layer, number, 0 if number and not everywhere else state)
            for layer, number in enumerate(heads)
        )

    def _block(self, layer: int, heads: int, state_bytes: int) -> Block:
        windowed = self._is_windowed(layer)
        own = heads if self._has_own_cache(layer) else 0
        is_mla = bool(self.number("attention.key_length_mla"))
        return Block(
            key_width=own * self._width("key", layer, windowed=windowed),
            value_width=0 if is_mla else own * self._width("value", layer, windowed=windowed),
            window=self.number("attention.sliding_window", layer) if windowed else 0,
            state_bytes=state_bytes,
        )

    def query_width(self, layer: int) -> int:
        """Return the numbers in the queries of a token."""
        return self.number("attention.head_count", layer) * self._width("key", layer)

    def widest_vector(self, layer: int) -> int:
        """Return the numbers in the widest vector that a layer multiplies by its weights."""
        asked = self.number("expert_used_count") * self.number("expert_feed_forward_length", layer)
        dense = max(self.number("feed_forward_length", layer), self.number("ssm.inner_size"))
        return max(self.query_width(layer), dense, asked)

    def feed_forward(self, layer: int) -> int:
        """Return the numbers that a token has at a time; a recurrent layer's count as well.

        An expert's result has the width of the embedding, and is there twice: plain and weighted.
        """
        vectors = 1 if self.architecture in _UNGATED else 3
        dense = vectors * self.number("feed_forward_length", layer)
        expert = 3 * self.number("expert_feed_forward_length", layer)
        asked = self.number("expert_used_count") * (expert + 2 * self.number("embedding_length"))
        return max(dense, asked if expert else 0, 6 * self.number("ssm.inner_size"))

    def _width(self, part: str, layer: int, *, windowed: bool = False) -> int:
        """Return the width of one head; an equal share of the embedding when it is not said."""
        own = self.number(f"attention.{part}_length_swa", layer) if windowed else 0
        said = own or self.number(f"attention.{part}_length", layer)
        heads = self.number("attention.head_count")
        return said or (self.number("embedding_length") // heads if heads else 0)

    def _kv_heads(self, layer: int) -> int:
        interval = self.number("full_attention_interval")
        if interval and (layer + 1) % interval:
            return 0
        said = "attention.head_count_kv" in self.facts
        return self.number("attention.head_count_kv" if said else "attention.head_count", layer)

    def _has_own_cache(self, layer: int) -> bool:
        """The last layers may use the cache of earlier ones (``n_layer_kv_from_start``)."""
        shared = self.number("attention.shared_kv_layers")
        return layer < self.number("block_count") - shared

    def _is_windowed(self, layer: int) -> bool:
        """Whether a layer looks back a window only: ``llama_hparams::set_swa_pattern``."""
        pattern = self.facts.get(_PATTERN, ())
        if len(pattern) > 1:
            return bool(pattern[layer % len(pattern)])
        period = pattern[0] if pattern else _WINDOW_PERIODS.get(self.architecture)
        if period is None:
            return False
        return period == 0 or layer % period < period - 1

    def _state_bytes(self) -> int:
        """Return what a recurrent layer keeps: ``n_embd_r() + n_embd_s()``, in F32."""
        inner, state = self.number("ssm.inner_size"), self.number("ssm.state_size")
        convolved = inner + 2 * self.number("ssm.group_count") * state
        kept = max(self.number("ssm.conv_kernel") - 1, 0) * convolved
        return _F32 * (kept + inner * state) if inner else 0
