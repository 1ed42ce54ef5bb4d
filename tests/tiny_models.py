"""GGUF files of under 1 MB with random weights that real engines load and answer from.

One for each of the models ORAC is made for, of the same architecture, tokenizer and habits (tied
embeddings, grouped heads, a chat template or none), so that what works here works there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from attrs import evolve, frozen

from tests.raw_gguf import Raw

__all__ = [
    "TINY_MODELS",
    "Raw",
    "TinyModel",
    "write",
    "write_all",
    "write_big_vocabulary",
    "write_quantized",
]

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ZEPHYR = (
    "{% for message in messages %}<|{{ message.role }}|>\n"
    "{{ message.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


@frozen
class TinyModel:
    """The shape of one model. ``name`` is the file's stem, ``stands_for`` the real model.

    ``likes`` are the tokens that it prefers, and how much; new ones are added.
    """

    name: str
    stands_for: str
    architecture: str
    pre_tokenizer: str = "default"
    specials: tuple[str, ...] = ("<|endoftext|>",)
    eos: str = "<|endoftext|>"
    chat_template: str | None = None
    width: int = 64
    layers: int = 2
    heads: int = 4
    kv_heads: int = 4
    head_width: int = 16
    hidden: int = 128
    context_length: int = 512
    more_tokens: int = 0
    tied: bool = False
    likes: tuple[tuple[str, float], ...] = ()
    pooling: gguf.PoolingType | None = None
    seed: int = 0


_QWEN_SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")

TINY_MODELS = (
    TinyModel(
        "tiny-qwen3-0.6b",
        "Qwen3-0.6B",
        "qwen3",
        pre_tokenizer="qwen2",
        specials=_QWEN_SPECIALS,
        eos="<|im_end|>",
        chat_template=CHATML,
        width=32,
        kv_heads=2,
        hidden=96,
        tied=True,
    ),
    TinyModel(
        "tiny-qwen3-1.7b",
        "Qwen3-1.7B",
        "qwen3",
        pre_tokenizer="qwen2",
        specials=_QWEN_SPECIALS,
        eos="<|im_end|>",
        chat_template=CHATML,
        kv_heads=2,
        hidden=192,
    ),
    TinyModel(
        "tiny-tinyllama",
        "TinyLlama-1.1B-Chat",
        "llama",
        specials=("<unk>", "<s>", "</s>"),
        eos="</s>",
        chat_template=ZEPHYR,
        kv_heads=2,
    ),
    TinyModel("tiny-pythia", "Pythia-410M", "gptneox", pre_tokenizer="olmo"),
    TinyModel("tiny-distilgpt2", "DistilGPT-2", "gpt2", pre_tokenizer="gpt-2"),
    TinyModel("tiny-phi2", "Phi-2", "phi2", pre_tokenizer="gpt-2"),
)

_BY_NAME = {model.name: model for model in TINY_MODELS}


def write(
    folder: Path, name: str, *, stem: str | None = None, parts: int = 1, **overrides: Any
) -> Path:
    """Write the tiny model of that name and return its path, or that of its first part.

    Args:
        folder: Where to; it is made if need be.
        name: One of the names in `TINY_MODELS`.
        stem: The file's name without its ending, when it shall not be ``name``.
        parts: More than one makes a split model.
        overrides: Attributes of the `TinyModel` to change: ``context_length=64``,
            ``chat_template=None``, ``seed=1`` for other weights and so another checksum …
    """
    model = evolve(_BY_NAME[name], **overrides)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem or name}.gguf"
    tensors = dict(_tensors(model))
    per_part = -(-len(tensors) // parts) if parts > 1 else 0
    writer = gguf.GGUFWriter(path, model.architecture, split_max_tensors=per_part)
    _add_shape(writer, model)
    _add_tokenizer(writer, model)
    writer.add_string("tokenizer.chat_template", model.chat_template or "")
    for tensor_name, weights in tensors.items():
        writer.add_tensor(tensor_name, weights)
    _finish(writer)
    return path if parts == 1 else path.with_name(f"{path.stem}-00001-of-{parts:05d}.gguf")


def write_all(folder: Path) -> dict[str, Path]:
    """Write every tiny model into the folder; return the paths by name."""
    return {model.name: write(folder, model.name) for model in TINY_MODELS}


def write_big_vocabulary(folder: Path, tokens: int = 150_000) -> Path:
    """Write a GGUF with as many tokens, and as many merges, as the largest models have.

    Its header is what matters; its weights are zeros.
    """
    model = _BY_NAME["tiny-qwen3-0.6b"]
    path = folder / "big-vocabulary.gguf"
    writer = gguf.GGUFWriter(path, model.architecture)
    _add_shape(writer, model)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(model.pre_tokenizer)
    writer.add_token_list([f"Ġ{number:x}o" for number in range(tokens)])
    writer.add_token_types([gguf.TokenType.NORMAL] * tokens)
    writer.add_token_merges([f"Ġ{number:x} o" for number in range(tokens)])
    writer.add_string("tokenizer.chat_template", CHATML)
    writer.add_tensor("token_embd.weight", np.zeros((tokens, model.width), np.float16))
    writer.add_tensor("output_norm.weight", np.ones(model.width, np.float32))
    _finish(writer)
    return path


def write_quantized(
    folder: Path, name: str, kind: gguf.GGMLQuantizationType, **overrides: Any
) -> Path:
    """Write the model of that name with matrices of a quantized type; its weights are zeros."""
    model = evolve(_BY_NAME[name], **overrides)
    path = folder / f"{name}.gguf"
    writer = gguf.GGUFWriter(path, model.architecture)
    _add_shape(writer, model)
    _add_tokenizer(writer, model)
    for tensor_name, shape in _shapes(model):
        if len(shape) == 1:
            writer.add_tensor(tensor_name, np.ones(shape, np.float32))
        else:
            rows = gguf.quant_shape_to_byte_shape(shape, kind)
            writer.add_tensor(tensor_name, np.zeros(rows, np.uint8), raw_dtype=kind)
    _finish(writer)
    return path


def _finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: gguf.GGUFWriter, model: TinyModel) -> None:
    writer.add_name(f"{model.stands_for} in small, with random weights")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(model.context_length)
    writer.add_embedding_length(model.width)
    writer.add_block_count(model.layers)
    writer.add_feed_forward_length(model.hidden)
    writer.add_head_count(model.heads)
    writer.add_head_count_kv(model.kv_heads)
    if model.architecture in {"qwen3", "llama"}:
        writer.add_layer_norm_rms_eps(1e-6)
    else:
        writer.add_layer_norm_eps(1e-5)
    if model.architecture == "qwen3":
        writer.add_key_length(model.head_width)
        writer.add_value_length(model.head_width)
        writer.add_rope_freq_base(1e6)
    elif model.architecture != "gpt2":
        writer.add_rope_dimension_count(model.head_width)
    if model.pooling is not None:
        writer.add_pooling_type(model.pooling)
    if model.architecture == "gptneox":
        writer.add_parallel_residual(use=True)


def _add_tokenizer(writer: gguf.GGUFWriter, model: TinyModel) -> None:
    tokens = _vocabulary(model)
    writer.add_tokenizer_model("llama" if model.architecture == "llama" else "gpt2")
    writer.add_tokenizer_pre(model.pre_tokenizer)
    writer.add_token_list(tokens)
    writer.add_token_types([_token_type(model, token) for token in tokens])
    if model.architecture == "llama":
        writer.add_token_scores([-float(number) for number in range(len(tokens))])
        writer.add_unk_token_id(0)
        writer.add_bos_token_id(1)
    else:
        writer.add_token_merges([f"{left} {right}" for left, right in _MERGES])
        writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_eos_token_id(tokens.index(model.eos))
    writer.add_add_bos_token(model.architecture == "llama")


_MERGES = (
    ("h", "e"),
    ("Ġ", "t"),
    ("i", "n"),
    ("e", "r"),
    ("Ġ", "a"),
    ("Ġt", "he"),
    ("Ġ", "w"),
    ("o", "r"),
    ("l", "l"),
    ("Ġw", "or"),
    ("he", "ll"),
    ("hell", "o"),
)
_PIECES = ("▁", "▁t", "he", "in", "er", "▁the", "▁a", "▁w", "or", "ll", "he", "hell", "hello")


def _vocabulary(model: TinyModel) -> list[str]:
    more = (f"more{number:x}" for number in range(model.more_tokens))
    liked = (token for token, _ in model.likes)
    return [*dict.fromkeys((*_common_tokens(model), *more, *liked))]


def _common_tokens(model: TinyModel) -> list[str]:
    if model.architecture == "llama":
        letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
        byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
        return [*model.specials, *byte_tokens, *dict.fromkeys((*_PIECES, *letters))]
    ordinary = [*_byte_letters(), *(left + right for left, right in _MERGES)]
    if model.architecture == "gptneox":  # Pythia's vocabulary begins with the special token
        return [*model.specials, *ordinary]
    return [*ordinary, *model.specials]


def _byte_letters() -> Iterator[str]:
    """The letter that GPT-2's byte-level vocabulary has for each byte, from byte 0 on.

    Printing letters stand for themselves, the others for the next free one from U+0100 on.
    """
    free = iter(range(0x100, 0x200))
    for byte in range(256):
        printing = 0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xAC or byte >= 0xAE
        yield chr(byte if printing else next(free))


def _token_type(model: TinyModel, token: str) -> gguf.TokenType:
    if token == "<unk>":
        return gguf.TokenType.UNKNOWN
    if token in model.specials:
        return gguf.TokenType.CONTROL
    return gguf.TokenType.BYTE if token.startswith("<0x") else gguf.TokenType.NORMAL


def _tensors(model: TinyModel) -> Iterator[tuple[str, np.typing.NDArray[np.generic]]]:
    """The tensors by name: norms of ones, vectors in F32 and matrices in F16 around zero."""
    random = np.random.default_rng(model.seed)
    for name, shape in _shapes(model):
        if "norm.weight" in name:
            yield name, np.ones(shape, np.float32)
        else:
            kind = np.float32 if len(shape) == 1 else np.float16
            weights = random.normal(0, 0.2, shape).astype(kind)
            if model.likes:
                _incline(model, name, weights)
            yield name, weights


def _incline(model: TinyModel, name: str, weights: np.typing.NDArray[np.generic]) -> None:
    """Have the first number of a token's vector, large for all, decide what is said next."""
    if name == "token_embd.weight":
        weights[:, 0] = 50.0
    if name == "output.weight":
        weights[:, 0] = 0.0
        for token, liking in model.likes:
            weights[_vocabulary(model).index(token), 0] = liking


def _shapes(model: TinyModel) -> Iterator[tuple[str, tuple[int, ...]]]:
    vocabulary = len(_vocabulary(model))
    yield "token_embd.weight", (vocabulary, model.width)
    if model.architecture == "gpt2":
        yield "position_embd.weight", (model.context_length, model.width)
    block = _rms_block if model.architecture in {"qwen3", "llama"} else _layer_norm_block
    for layer in range(model.layers):
        for name, shape in block(model):
            yield f"blk.{layer}.{name}", shape
    yield "output_norm.weight", (model.width,)
    if block is _layer_norm_block:
        yield "output_norm.bias", (model.width,)
    if model.architecture == "phi2":
        yield "output.bias", (vocabulary,)
    if not model.tied:
        # Last, as it is a multiple of the alignment: each file ends with a weight, not padding.
        yield "output.weight", (vocabulary, model.width)


def _rms_block(model: TinyModel) -> Iterator[tuple[str, tuple[int, ...]]]:
    """One layer of Qwen 3 or Llama."""
    queries, keys = model.heads * model.head_width, model.kv_heads * model.head_width
    yield "attn_norm.weight", (model.width,)
    yield "attn_q.weight", (queries, model.width)
    yield "attn_k.weight", (keys, model.width)
    yield "attn_v.weight", (keys, model.width)
    yield "attn_output.weight", (model.width, queries)
    if model.architecture == "qwen3":
        yield "attn_q_norm.weight", (model.head_width,)
        yield "attn_k_norm.weight", (model.head_width,)
    yield "ffn_norm.weight", (model.width,)
    yield "ffn_gate.weight", (model.hidden, model.width)
    yield "ffn_down.weight", (model.width, model.hidden)
    yield "ffn_up.weight", (model.hidden, model.width)


def _layer_norm_block(model: TinyModel) -> Iterator[tuple[str, tuple[int, ...]]]:
    """One layer of GPT-NeoX, GPT-2 or Phi-2, with a bias to everything."""
    matrices = {
        "attn_qkv": (3 * model.width, model.width),
        "attn_output": (model.width, model.width),
        "ffn_up": (model.hidden, model.width),
        "ffn_down": (model.width, model.hidden),
    }
    norms = ["attn_norm"] if model.architecture == "phi2" else ["attn_norm", "ffn_norm"]
    for name in norms:
        yield f"{name}.weight", (model.width,)
        yield f"{name}.bias", (model.width,)
    for name, shape in matrices.items():
        yield f"{name}.weight", shape
        yield f"{name}.bias", shape[:1]
