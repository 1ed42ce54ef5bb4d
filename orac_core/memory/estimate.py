"""How much memory a model needs while ORAC's llama.cpp worker serves it. Pure.

Counted is what is resident, as the kernel counts it for the worker's process, after prompts have
filled the context. The rules are llama.cpp's; each is named where it is used. The constants were
measured with ``benchmarks/memory_estimate.py``.
"""

from collections.abc import Callable

from attrs import field, frozen, validators

from ..shape import Block, Shape, batch_tokens

_BATCH = 512  # tokens that are computed at a time (n_ubatch), usually
_PAD = 256  # a sequence's part of the cache is a multiple of it (GGML_PAD in llama_context)
_CHECKPOINTS = 2  # copies of what cannot be wound back; the worker allows so many
_F32, _F16 = 4, 2
_PROCESS_BYTES = 34 << 20  # a worker with nothing loaded has 33
_TOKEN_BYTES = 300  # the vocabulary, as the engine keeps it
_MERGE_BYTES = 130


@frozen
class Setup:
    """How a model is to be served.

    Attributes:
        context_length: Tokens of one answer and its prompt.
        parallel: Answers at once; each has a part of the cache of its own.
        gpu_layers: Layers on the GPU, counted from the last, of which the output is one; None for
            all. 0 on a machine without a GPU.
        cache_type_bytes: Bytes of one number in the cache: 2 for F16, 34/32 for Q8_0.
    """

    context_length: int = field(validator=validators.gt(0))
    parallel: int = field(default=1, validator=validators.gt(0))
    gpu_layers: int | None = field(default=None, validator=validators.optional(validators.ge(0)))
    cache_type_bytes: float = field(default=2.0, validator=validators.gt(0.0))


@frozen
class Need:
    """The memory that a model needs, in bytes.

    Attributes:
        weights_bytes: Weights; those of a tied output twice, once it lies on a GPU.
        kv_cache_bytes: Keys and values of all answers, states of recurrent layers, and the copies
            that the engine makes of what it cannot wind back.
        compute_bytes: What a batch takes while it is computed; once on each side that computes.
        margin_bytes: The process itself and its vocabulary.
        gpu_bytes: The share of the sum that lies on the GPU. What its driver takes is not in it.
    """

    weights_bytes: int
    kv_cache_bytes: int
    compute_bytes: int
    margin_bytes: int
    gpu_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """The sum; on a board whose memory is shared, this is what has to be free."""
        return self.weights_bytes + self.kv_cache_bytes + self.compute_bytes + self.margin_bytes

    @property
    def host_bytes(self) -> int:
        """The share of the sum that lies in the memory of the CPU."""
        return self.total_bytes - self.gpu_bytes


def estimate(shape: Shape, setup: Setup) -> Need:
    """Return what the model needs when it is served so.

    Which layers lie on the GPU: ``load_tensors`` (``i_gpu_start``). With a GPU that holds a part of
    the layers, both sides compute and both need room for it.
    """
    near, far, output_on_gpu = _halves(shape, setup)
    own = shape.embedding_bytes + shape.other_bytes
    output = shape.embedding_bytes if shape.is_tied else shape.output_bytes
    again = shape.embedding_bytes if shape.is_tied and output_on_gpu else 0
    compute = _compute_bytes(shape, setup)
    cache = (0, 0) if shape.is_encoder else (_cache_bytes(near, setup), _cache_bytes(far, setup))
    on_gpu = (output if output_on_gpu else 0) + _weights(far) + cache[1]
    sides = bool(near) + bool(far)
    return Need(
        weights_bytes=own + shape.output_bytes + again + _weights(shape.blocks),
        kv_cache_bytes=sum(cache) + (0 if shape.is_encoder else _checkpoint_bytes(shape, setup)),
        compute_bytes=compute * sides,
        margin_bytes=_PROCESS_BYTES
        + _TOKEN_BYTES * shape.vocabulary_size
        + _MERGE_BYTES * shape.merges,
        gpu_bytes=on_gpu + (compute if far else 0),
    )


def largest_context(shape: Shape, setup: Setup, fits: Callable[[Need], bool]) -> int | None:
    """Return the longest context, up to that of the setup, whose need fits; None when none does.

    Only multiples of 256 are tried. What fits with a longer context has to fit with a shorter one.
    """
    tried = range(_PAD, setup.context_length + 1, _PAD)
    low, high = 0, len(tried)
    while low < high:
        middle = (low + high) // 2
        if fits(estimate(shape, _with_context(setup, tried[middle]))):
            low = middle + 1
        else:
            high = middle
    return tried[low - 1] if low else None


def _with_context(setup: Setup, context_length: int) -> Setup:
    return Setup(context_length, setup.parallel, setup.gpu_layers, setup.cache_type_bytes)


def _halves(shape: Shape, setup: Setup) -> tuple[tuple[Block, ...], tuple[Block, ...], bool]:
    """Return the layers with the CPU, those on the GPU, and whether the output is there as well."""
    count = len(shape.blocks)
    places = count + 1 if setup.gpu_layers is None else setup.gpu_layers
    split = min(max(count + 1 - places, 0), count)
    return shape.blocks[:split], shape.blocks[split:], places > 0


def _weights(blocks: tuple[Block, ...]) -> int:
    return sum(block.weights_bytes for block in blocks)


def _cache_bytes(blocks: tuple[Block, ...], setup: Setup) -> int:
    """Return the bytes of the cache: ``llama_kv_cache`` and ``llama_memory_recurrent``.

    The cache is zeroed when it is made, so all of it is resident from the start.
    """
    return setup.parallel * sum(
        _tokens_bytes(block, _cells(setup.context_length, block.window), setup) + block.state_bytes
        for block in blocks
    )


def _tokens_bytes(block: Block, tokens: int, setup: Setup) -> int:
    return round((block.key_width + block.value_width) * tokens * setup.cache_type_bytes)


def _cells(context_length: int, window: int) -> int:
    """Return the tokens that a layer keeps of one sequence: ``llama_kv_cache_iswa``."""
    whole = _padded(context_length)
    return min(whole, _padded(window + _BATCH)) if window else whole


def _padded(tokens: int) -> int:
    return -(-tokens // _PAD) * _PAD


def _checkpoint_bytes(shape: Shape, setup: Setup) -> int:
    """Return the bytes of the copies that ``server_slot`` keeps to begin a prompt in its middle."""
    kept = sum(
        _tokens_bytes(block, min(block.window, setup.context_length), setup) + block.state_bytes
        for block in shape.blocks
    )
    return _CHECKPOINTS * setup.parallel * kept


def _compute_bytes(shape: Shape, setup: Setup) -> int:
    """Return the bytes of the buffers that ``ggml_gallocr`` makes for the graph of one batch.

    They reuse each other's room, so the wider of attention and feed-forward part decides. The
    counts of vectors were read off the buffers of the six architectures, over many widths. With
    flash attention there is no matrix of scores, but a mask of the context in F16. What is
    multiplied by weights is turned into F16 before (``ggml_graph_plan``), at most.
    """
    width, cache = shape.embedding_width, _widest(shape)
    attention = 2 * shape.query_width + 3 * cache + 3 * width
    vectors = max(attention, shape.feed_forward_width + 5 * width)
    masks = sum({_cells(setup.context_length, it.window) for it in shape.blocks if it.key_width})
    batch = _batch(shape, setup)
    logits = _outputs(shape, setup) * shape.vocabulary_size
    return _F32 * (batch * vectors + logits) + _F16 * batch * (masks + shape.widest_vector)


def _batch(shape: Shape, setup: Setup) -> int:
    return batch_tokens(shape.pooling, setup.context_length, is_encoder=shape.is_encoder)


def _outputs(shape: Shape, setup: Setup) -> int:
    """Return for how many tokens there is room for logits, which ``output_reserve`` makes.

    Where vectors are made that is each token of a batch. An encoder computes none; any other model
    does, and has them twice: in the graph, and as its result.
    """
    if shape.is_encoder:
        return _batch(shape, setup)
    return 2 * _batch(shape, setup) if shape.pooling else setup.parallel


def _widest(shape: Shape) -> int:
    return max((max(it.key_width, it.value_width) for it in shape.blocks), default=0)
