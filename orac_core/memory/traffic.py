"""How much slower a model writes the longer its context has become (pure)."""

from ..shape import Shape

_F16 = 2


def slowdown_per_token(shape: Shape | None) -> float | None:
    """Return by which share a token takes longer for each token before it; None where unknown.

    Decoding waits for memory: each token reads all weights but the table of the embedding, and of
    the cache, with numbers of 16 bits, what lies before it. Layers with a window read no more than
    that. Of a mixture of experts it is not known how many weights are read.
    """
    if shape is None or shape.is_sparse:
        return None
    table = shape.embedding_bytes if shape.is_tied else shape.output_bytes
    weights = sum(block.weights_bytes for block in shape.blocks) + table
    growing = (block for block in shape.blocks if not block.window)
    cache = _F16 * sum(block.key_width + block.value_width for block in growing)
    return cache / weights if weights else None
