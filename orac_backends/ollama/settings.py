"""What the manifest may say about a backend of kind ``ollama``."""

from pathlib import Path
from typing import Any

from attrs import Attribute, field, frozen, validators

from orac_core import duration_s

from .address import find


def _an_address(_: object, __: "Attribute[Any]", value: str | None) -> None:
    if value is not None:
        find(value, {})


def _a_duration(_: object, __: "Attribute[Any]", value: str) -> None:
    if duration_s(value) == 0:
        raise ValueError("keep_alive must not be 0: the model would go after each answer")


@frozen
class OllamaSettings:
    """Where an Ollama is, and how to use it.

    Attributes:
        url: Its address; without it that of ``OLLAMA_HOST`` (and ``OLLAMA_PORT``), else the usual
            one.
        spawn: Start ``ollama serve`` on 127.0.0.1, watch it, and stop it with ORAC.
        program: What to start: a path, or a name to look for in ``PATH``.
        store: Folder in which a spawned Ollama keeps its models; without it ``OLLAMA_MODELS``
            has it, unless GGUF files lie there, else it is Ollama's own choice.
        restarts: How often a spawned Ollama that died is started again within ten minutes.
        import_files: List the GGUF files that are found too, and hand one over when it is loaded.
        context_length: Tokens that prompt and answer may have together; without it what the model
            was trained for, at most 4096. Ollama's own default depends on the board and may be
            far too large for it.
        gpu_layers: Layers to put on the GPU; without it Ollama decides.
        keep_alive: How long a model stays loaded after its last answer, such as ``30m``; ``-1``
            for until it is unloaded, which it is when ORAC stops.
        expect_gpu: Whether a model that is not wholly on a GPU is worth a warning; without
            it that is so where this machine has one.
        local_memory: Whether its models lie in the memory of this machine, also when its address
            does not say so, as that of a container beside, so that the memory plan
            counts them; without it what the address says.
        start_timeout_s: Time that a spawned Ollama has to answer for the first time.
        load_timeout_s: Time for a load, besides that for the size of the model.
        first_token_timeout_s: Longest wait for the first token: Ollama is silent while it reads
            the prompt, and while it answers others.
        idle_timeout_s: Silence after the first token after which the engine is taken for dead.
    """

    url: str | None = field(default=None, validator=_an_address)
    spawn: bool = False
    program: str = "ollama"
    store: Path | None = None
    restarts: int = field(default=5, validator=[validators.ge(0), validators.le(1000)])
    import_files: bool = True
    context_length: int | None = field(
        default=None, validator=validators.optional(validators.ge(1))
    )
    gpu_layers: int | None = field(default=None, validator=validators.optional(validators.ge(0)))
    keep_alive: str = field(default="-1", validator=_a_duration)
    expect_gpu: bool | None = None
    local_memory: bool | None = None
    start_timeout_s: float = field(default=30.0, validator=validators.gt(0.0))
    load_timeout_s: float = field(default=300.0, validator=validators.gt(0.0))
    first_token_timeout_s: float = field(default=300.0, validator=validators.gt(0.0))
    idle_timeout_s: float = field(default=60.0, validator=validators.gt(0.0))
