"""The two engines inside Ollama, as far as a client can tell them apart."""

import json
from typing import Any

from attrs import frozen

from .refusal import Refusal

_NO_QUANTIZE = (
    "failed to validate GGUF with llama-quantize without compatibility patches: "
    "llama-quantize failed: exit status 1"
)
_OOM_NEW = (
    "llama-server process has terminated: exit status 1: ggml_aligned_malloc: insufficient memory "
    "(attempted to allocate 48828.12 MB)\n"
    "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 51200000000\n"
    "alloc_tensor_range: failed to allocate CPU buffer of size 51200000000\n"
    "llama_init_from_model: failed to initialize the context: "
    "failed to allocate buffer for kv cache"
)
_OOM_OLD = "model requires more system memory (47.7 GiB) than is available (23.0 GiB)"


@frozen
class Generation:
    """How the releases around one version behave.

    Attributes:
        runs_llama_server: The engine is a child `llama-server`, which writes its own errors; else
            it is compiled in.
        unload_polls: How often /api/ps still shows a model whose unloading was answered.
    """

    runs_llama_server: bool
    unload_polls: int
    out_of_memory: str

    @property
    def rewrites_files(self) -> bool:
        """Whether create makes a file of its own out of the one uploaded."""
        return self.runs_llama_server

    def too_long(self, tokens: int, window: int) -> Refusal:
        if not self.runs_llama_server:
            return Refusal(400, "the input length exceeds the context length")
        return _from_engine(
            f"request ({tokens} tokens) exceeds the available context size ({window} tokens), "
            "try increasing it",
            "exceed_context_size_error",
            n_prompt_tokens=tokens,
            n_ctx=window,
        )

    def bad_schema(self, problem: str) -> Refusal:
        if not self.runs_llama_server:
            return Refusal(500, "invalid JSON schema in format")
        return _from_engine(
            f"Field 'json_schema': \"json_schema\": JSON schema conversion failed:\n{problem}"
        )

    def takes_no_images(self) -> Refusal | None:
        if not self.runs_llama_server:
            return None
        return _from_engine(
            "Multimodal data provided, but model does not support multimodal requests."
        )

    def embeds_not(self) -> Refusal | None:
        if not self.runs_llama_server:
            return None
        text = "This server does not support embeddings. Start it with `--embeddings`"
        return Refusal(501, text)

    def weights_gone(self, name: str, verb: str) -> Refusal:
        if self.runs_llama_server:
            return Refusal(404, f'model "{name}" not found, try pulling it first')
        return Refusal(400, f'"{name}" does not support {verb}')

    def cannot_quantize(self) -> Refusal | None:
        return Refusal(500, _NO_QUANTIZE) if self.runs_llama_server else None


def _from_engine(message: str, kind: str = "invalid_request_error", **more: Any) -> Refusal:
    """An answer of the engine, handed on inside another."""
    inner = {"code": 400, "message": message, "type": kind, **more}
    return Refusal(400, json.dumps({"error": inner}, separators=(",", ":"), ensure_ascii=False))


GENERATIONS = {
    "0.32.15": Generation(runs_llama_server=True, unload_polls=0, out_of_memory=_OOM_NEW),
    "0.24.0": Generation(runs_llama_server=False, unload_polls=1, out_of_memory=_OOM_OLD),
}
