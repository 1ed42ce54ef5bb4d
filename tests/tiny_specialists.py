"""Tiny GGUF files for what a model that chats does not show: vectors, and calls of tools."""

from collections.abc import Iterator
from pathlib import Path
from string import ascii_lowercase

import gguf
import numpy as np
from attrs import frozen

from tests.tiny_models import write

__all__ = ["TOOL_CHATML", "TinyBert", "write_bert", "write_caller"]

TOOL_CHATML = (
    "{%- if tools %}<|im_start|>system\n# Tools\n<tools>{% for tool in tools %}\n"
    "{{ tool | tojson }}{% endfor %}\n</tools>\nA call is written <tool_call>\n"
    '{"name": <name>, "arguments": <arguments>}\n</tool_call><|im_end|>\n{% endif %}'
    "{%- for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "{%- if message.tool_calls %}{% for call in message.tool_calls %}\n<tool_call>\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n'
    "</tool_call>{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CALL, CALL_END = "<tool_call>Ċ", "</tool_call>"  # as byte-level vocabularies write a new line


def write_caller(folder: Path, stem: str = "caller") -> Path:
    """Write a chat model that says nothing, unless it has to call a tool: then it calls it once."""
    likes = {"<|im_end|>": 9.0, CALL: 5.0, CALL_END: 4.0, '"': 3.0, "}": 2.0}
    return write(
        folder,
        "tiny-qwen3-0.6b",
        stem=stem,
        chat_template=TOOL_CHATML,
        tied=False,
        context_length=2048,
        likes=tuple(likes.items()),
    )


@frozen
class TinyBert:
    """The shape of a model that makes vectors of texts."""

    width: int = 32
    layers: int = 2
    heads: int = 2
    hidden: int = 64
    context_length: int = 64
    pooling: gguf.PoolingType = gguf.PoolingType.MEAN
    seed: int = 0
    more_tokens: int = 0


def write_bert(folder: Path, stem: str = "tiny-bert", bert: TinyBert | None = None) -> Path:
    """Write a BERT that knows single letters and a few words; return its path."""
    bert = bert or TinyBert()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.gguf"
    writer = gguf.GGUFWriter(path, "bert")
    _add_shape(writer, bert)
    _add_tokenizer(writer, bert)
    random = np.random.default_rng(bert.seed)
    for name, shape in _shapes(bert):
        is_norm = name.endswith("norm.weight")
        is_table = name.startswith(("token_types", "position_embd"))
        kind = np.float32 if len(shape) == 1 or is_table else np.float16
        weights = np.ones(shape) if is_norm else random.normal(0, 0.2, shape)
        writer.add_tensor(name, weights.astype(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_shape(writer: gguf.GGUFWriter, bert: TinyBert) -> None:
    writer.add_name("A BERT in small, with random weights")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(bert.context_length)
    writer.add_embedding_length(bert.width)
    writer.add_block_count(bert.layers)
    writer.add_feed_forward_length(bert.hidden)
    writer.add_head_count(bert.heads)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(value=False)
    writer.add_pooling_type(bert.pooling)


def _add_tokenizer(writer: gguf.GGUFWriter, bert: TinyBert) -> None:
    specials = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    words = ("hello", "the", "world", "robot")
    letters = (*ascii_lowercase, *"0123456789.,!?")
    more = (f"▁more{number:x}" for number in range(bert.more_tokens))
    tokens = [*specials, *(f"▁{it}" for it in (*words, *letters)), *letters, *more]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")
    writer.add_token_list(tokens)
    kinds = [gguf.TokenType.CONTROL] * len(specials)
    writer.add_token_types([*kinds, *[gguf.TokenType.NORMAL] * (len(tokens) - len(specials))])
    writer.add_token_type_count(2)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_sep_token_id(3)
    writer.add_eos_token_id(3)
    writer.add_mask_token_id(4)


def _shapes(bert: TinyBert) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, tokens = bert.width, 5 + 4 + 2 * 40 + bert.more_tokens
    yield "token_embd.weight", (tokens, width)
    yield "token_types.weight", (2, width)
    yield "position_embd.weight", (bert.context_length, width)
    yield from _with_bias("token_embd_norm", (width,))
    matrices = {
        "attn_q": (width, width),
        "attn_k": (width, width),
        "attn_v": (width, width),
        "attn_output": (width, width),
        "ffn_up": (bert.hidden, width),
        "ffn_down": (width, bert.hidden),
    }
    for layer in range(bert.layers):
        for name, shape in matrices.items():
            yield from _with_bias(f"blk.{layer}.{name}", shape)
        for name in ("attn_output_norm", "layer_output_norm"):
            yield from _with_bias(f"blk.{layer}.{name}", (width,))


def _with_bias(name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]
