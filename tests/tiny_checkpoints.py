"""Checkpoints of Hugging Face's without sense, written by hand: no torch is needed for them."""

import json
import struct
from pathlib import Path

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 512,
    "vocab_size": 16,
}
TENSORS = {
    "model.embed_tokens.weight": ("BF16", [16, 8]),
    "model.layers.0.mlp.up_proj.weight": ("BF16", [16, 8]),
    "model.layers.1.mlp.up_proj.weight": ("BF16", [16, 8]),
    "model.norm.weight": ("F32", [8]),
    "lm_head.weight": ("BF16", [16, 8]),
}
WIDTHS = {"BF16": 2, "F16": 2, "F32": 4, "U8": 1}
TEMPLATE = (
    "{% for message in messages %}{{ '<' + message['role'] + '>' + message['content'] }}"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def header(tensors=None) -> dict:
    """Return the header of a file with those tensors."""
    found, place = {}, 0
    for name, (dtype, shape) in (TENSORS if tensors is None else tensors).items():
        size = WIDTHS[dtype]
        for length in shape:
            size *= length
        found[name] = {"dtype": dtype, "shape": shape, "data_offsets": [place, place + size]}
        place += size
    return found


def safetensors(tensors=None) -> bytes:
    """Return a file with those tensors, all of them zero."""
    head = header(tensors)
    return with_header(
        json.dumps(head).encode(), max(it["data_offsets"][1] for it in head.values())
    )


def with_header(raw: bytes, data_bytes: int) -> bytes:
    return struct.pack("<Q", len(raw)) + raw + bytes(data_bytes)


def write(folder: Path, name: str = "tiny", files=None, **config) -> Path:
    """Write a checkpoint into *folder*; *files* says what of it is other, None for missing."""
    chosen = {
        "config.json": json.dumps(CONFIG | config),
        "tokenizer.json": "{}",
        "tokenizer_config.json": json.dumps({"chat_template": TEMPLATE}),
        "model.safetensors": safetensors(),
        **(files or {}),
    }
    path = folder / name
    path.mkdir(parents=True, exist_ok=True)
    for file, content in chosen.items():
        if content is not None:
            raw = content if isinstance(content, bytes) else content.encode()
            (path / file).write_bytes(raw)
    return path


def split(folder: Path, name: str = "split", **files) -> Path:
    """Write a checkpoint whose weights are in two files."""
    names = list(TENSORS)
    parts = {
        f"model-0000{number}-of-00002.safetensors": {it: TENSORS[it] for it in chosen}
        for number, chosen in ((1, names[:2]), (2, names[2:]))
    }
    placed = {tensor: part for part, tensors in parts.items() for tensor in tensors}
    written = {part: safetensors(tensors) for part, tensors in parts.items()}
    index = {"model.safetensors.index.json": json.dumps({"weight_map": placed})}
    return write(folder, name, {"model.safetensors": None, **written, **index, **files})
