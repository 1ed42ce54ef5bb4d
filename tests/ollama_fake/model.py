"""A model as the store knows it, and what lists say about it."""

import hashlib
import json
from typing import Any, Self

from attrs import asdict, frozen

from .files import Header

COMPLETION, EMBEDDING, THINKING, TOOLS = "completion", "embedding", "thinking", "tools"
VISION, INSERT = "vision", "insert"

_FILE_TYPES = {
    0: "unknown",
    1: "F16",
    2: "Q4_0",
    7: "Q8_0",
    14: "Q4_K_S",
    15: "Q4_K_M",
    17: "Q5_K_M",
}
_CHATML = (
    "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n"
    "{{ end }}<|im_start|>assistant\n"
)
_ZEPHYR = "{{- range .Messages }}<|{{ .Role }}|>\n{{ .Content }}</s>\n{{ end }}<|assistant|>\n"
_DETECTED = {"<|im_start|>": ("chatml", _CHATML), "<|assistant|>": ("zephyr", _ZEPHYR)}
_STOPS = {"chatml": ("<|im_start|>", "<|im_end|>"), "zephyr": ("<|system|>", "<|user|>")}
_HIDDEN = ("general.name", "tokenizer.chat_template")


@frozen
class Model:
    """What there is to know about a model, whatever it is called.

    Attributes:
        weights: Digest of the file of the weights: ``sha256:`` and 64 digits.
        adapters: Digests of the adapters on it.
        on_disk: Whether that file was uploaded, so that it can be missing.
        kv_bytes: What one token of the window takes in memory.
    """

    weights: str
    size: int
    digest: str = ""
    family: str = "llama"
    parameters: int = 1_100_000_000
    quantization: str = "Q4_K_M"
    context_length: int = 2048
    embedding_length: int = 64
    capabilities: tuple[str, ...] = (COMPLETION,)
    on_disk: bool = False
    kv_bytes: int = 0
    info: dict[str, Any] | None = None
    tensors: tuple[dict[str, Any], ...] = ()
    detected: str = ""
    template: str = "{{ .Prompt }}"
    system: str = ""
    license: str = ""
    settings: dict[str, Any] | None = None
    adapters: tuple[str, ...] = ()
    modified_at: str = ""

    @classmethod
    def of(cls, header: Header, weights: str, size: int) -> Self:
        """Return what the header of a file makes of it."""
        detected, template = _detected(header)
        stops = {"stop": list(_STOPS[detected])} if detected else {}
        return cls(
            weights=weights,
            size=size,
            family=header.architecture,
            parameters=header.weights,
            quantization=_FILE_TYPES.get(header.keys.get("general.file_type", 0), "unknown"),
            context_length=header.of("context_length", 2048),
            embedding_length=header.of("embedding_length"),
            capabilities=_capabilities(header),
            on_disk=True,
            kv_bytes=4 * header.of("embedding_length") * header.of("block_count"),
            info=_info(header),
            tensors=tuple(_tensors(header)),
            detected=detected,
            template=template,
            settings=stops,
        )

    @property
    def details(self) -> dict[str, Any]:
        return {
            "parent_model": "",
            "format": "gguf",
            "family": self.family,
            "families": [self.family],
            "parameter_size": _count(self.parameters),
            "quantization_level": self.quantization,
        }

    def written(self) -> bytes:
        """Return what the store keeps, without what tells only when and in which manifest."""
        facts = asdict(self) | {"digest": "", "modified_at": ""}
        return json.dumps(facts).encode()

    def manifest_digest(self) -> str:
        return hashlib.sha256(self.written()).hexdigest()


def _detected(header: Header) -> tuple[str, str]:
    jinja = header.keys.get("tokenizer.chat_template", "")
    found = (named for sign, named in _DETECTED.items() if sign in jinja)
    return next(found, ("", "{{ .Prompt }}"))


def _capabilities(header: Header) -> tuple[str, ...]:
    if header.of("pooling_type", None) is not None:
        return (EMBEDDING,)
    jinja = header.keys.get("tokenizer.chat_template", "")
    more = {TOOLS: "tools", THINKING: "<think>"}
    return (COMPLETION, *(name for name, sign in more.items() if sign in jinja))


def _info(header: Header) -> dict[str, Any]:
    shown = {key: _shown(value) for key, value in header.keys.items() if key not in _HIDDEN}
    return dict(sorted({**shown, "general.parameter_count": header.weights}.items()))


def _shown(value: Any) -> Any:
    """Lists are null unless all is asked for, and then the test does not look into them."""
    return None if isinstance(value, range) else value


def _tensors(header: Header) -> list[dict[str, Any]]:
    return [{"name": it.name, "type": it.type, "shape": list(it.shape)} for it in header.tensors]


def _count(parameters: int) -> str:
    for unit, size in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if parameters >= size:
            short = parameters / size
            return f"{short:.0f}K" if unit == "K" else f"{short:.{1 if unit == 'B' else 2}f}{unit}"
    return str(parameters)
