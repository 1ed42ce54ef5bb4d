"""What the manifest may say about a backend of kind ``llamacpp``."""

from pathlib import Path
from typing import Literal

from attrs import field, frozen, validators

CacheType = Literal["f16", "q8_0", "q4_0"]
"""How the engine keeps the numbers of the key-value cache."""


@frozen
class LlamaCppSettings:
    """How to run llama.cpp.

    Every answer that runs has a context of its own, so a model's key-value cache is
    ``context_length`` times ``parallel`` tokens large. A common pool would be smaller, but when it
    runs full the engine breaks off every answer that is running.

    Attributes:
        server_binary: A ``llama-server`` to start instead of the engine that comes with ORAC, such
            as one built for CUDA.
        parallel: Answers at once for each model; more of them wait for their turn. Each has a
            context of its own, so twice as many take twice the memory for it.
        context_length: Tokens that prompt and answer may have together, where neither the caller
            nor ``[models.files."NAME"]`` says so; never more than the model was trained for.
            Without it at most 4096, and at most 512 for an encoder such as BERT.
        gpu_layers: Layers to put on the GPU; without it the engine decides.
        cache_type: How numbers are kept in the cache. ``q8_0`` takes about half of the memory and
            costs hardly any quality, ``q4_0`` a little over a quarter and costs some. Neither is
            for models whose heads are no multiple of 32 wide; the engine refuses to load one.
        embeddings: Whether models that answer make vectors of texts as well, of up to 512 tokens.
            It costs 4 KiB for each token of the vocabulary: 590 MiB where there are 150,000.
            Without it those do where it costs at most 32 MiB, with the engine that comes with ORAC.
            Models made for vectors make them anyway.
        threads: Threads that compute; without it as many as there are cores, less one: the engine
            suffers badly from a core that it has to share.
        start_timeout_s: Time that the engine has to start, besides that for the size of the file.
        idle_timeout_s: Silence after which an engine that answers is taken for dead. It gives a
            sign of life each second, also while it reads a long prompt.
    """

    server_binary: Path | None = None
    parallel: int = field(default=2, validator=[validators.ge(1), validators.le(64)])
    context_length: int | None = field(
        default=None, validator=validators.optional(validators.ge(1))
    )
    gpu_layers: int | None = field(default=None, validator=validators.optional(validators.ge(0)))
    cache_type: CacheType = "f16"
    embeddings: bool | None = None
    threads: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    start_timeout_s: float = field(default=60.0, validator=validators.gt(0.0))
    idle_timeout_s: float = field(default=60.0, validator=validators.gt(0.0))
