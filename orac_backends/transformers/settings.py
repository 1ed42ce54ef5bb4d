"""What the manifest may say about a backend of kind ``transformers``."""

from pathlib import Path

from attrs import field, frozen, validators

DTYPES = {"auto": None, "float32": 4, "bfloat16": 2, "float16": 2}
"""The types that weights may be turned into, with their bytes; None for as they are."""


@frozen
class TransformersSettings:
    """Where checkpoints are, and how to run them.

    Attributes:
        paths: Folders that are searched for checkpoints of Hugging Face's, with up to five
            levels below them.
        device: ``cpu``, ``cuda``, ``cuda:1``; ``auto`` takes a GPU where torch sees one.
        dtype: What weights are computed in; ``auto`` takes what the checkpoint says. Many a CPU is
            faster with ``float32``, which takes twice the memory of the 16 bits of most of them.
        context_length: Tokens that prompt and answer may have together; without it what the model
            was trained for, at most 4096.
        threads: Threads that compute; without it as many as there are cores, less one.
        start_timeout_s: Time that the worker has to start, besides that for the size of the
            checkpoint; to import torch alone may take half a minute on a slow disk.
        idle_timeout_s: Silence after which a worker that answers is taken for dead. It gives a
            sign of life each second, also while it reads a long prompt.
    """

    paths: tuple[Path, ...] = ()
    device: str = field(default="auto", validator=validators.matches_re(r"auto|cpu|cuda(:\d+)?"))
    dtype: str = field(default="auto", validator=validators.in_(tuple(DTYPES)))
    context_length: int | None = field(
        default=None, validator=validators.optional(validators.ge(1))
    )
    threads: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    start_timeout_s: float = field(default=120.0, validator=validators.gt(0.0))
    idle_timeout_s: float = field(default=60.0, validator=validators.gt(0.0))
