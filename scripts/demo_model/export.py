"""The GGUF file: the network's weights, the tokenizer, the chat template and what is known."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import model
from .tokenizer import END, PRE_TOKENIZER, ROBOT, SPECIALS, USER, Tokenizer

NAME = "ORAC robot commands demo"
DESCRIPTION = (
    "Turns a robot command in English into compact JSON, and everything else into "
    '{"action":"unknown"}. Trained from nothing by scripts/train_demo_model.py of ORAC.'
)
TEMPLATE = (
    "{%- set last = namespace(text='') -%}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'user' -%}{%- set last.text = message['content'] -%}{%- endif -%}"
    "{%- if message['role'] == 'system' -%}{{- message['content'][:0] -}}{%- endif -%}"
    "{%- endfor -%}"
    f"{{{{- '{USER}' + last.text | trim + '{ROBOT}' -}}}}"
)
"""Shows the model the last message of the user and nothing else, framed as in training."""


def write(
    path: Path, tokenizer: Tokenizer, weights: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    """Writes the file; ``facts`` are further metadata: texts, whole numbers and fractions."""
    from gguf import GGUFWriter  # noqa: PLC0415 - the grammar is used where gguf is not installed

    path.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(path, "llama")
    parameters = sum(weight.size for weight in weights.values())
    add_description(writer, parameters)
    add_architecture(writer, len(tokenizer.tokens))
    add_tokenizer(writer, tokenizer)
    for key, value in facts.items():
        add_fact(writer, key, value)
    for name, weight in weights.items():
        add_weight(writer, name, weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_description(writer: Any, parameters: int) -> None:
    """Adds what a person wants to know of the model."""
    from gguf import LlamaFileType  # noqa: PLC0415 - as in write

    writer.add_type("model")
    writer.add_name(NAME)
    writer.add_description(DESCRIPTION)
    writer.add_license("Apache-2.0")
    writer.add_languages(["en"])
    writer.add_size_label(f"{parameters / 1e6:.1f}M")
    writer.add_quantization_version(2)
    writer.add_file_type(LlamaFileType.MOSTLY_Q8_0)
    writer.add_sampling_temp(0.0)  # a command has one right answer, so none is drawn by chance


def add_architecture(writer: Any, vocabulary: int) -> None:
    """Adds the shape of the network."""
    writer.add_context_length(model.CONTEXT)
    writer.add_embedding_length(model.EMBEDDING)
    writer.add_block_count(model.BLOCKS)
    writer.add_feed_forward_length(model.FEED_FORWARD)
    writer.add_head_count(model.HEADS)
    writer.add_head_count_kv(model.HEADS)
    writer.add_layer_norm_rms_eps(model.EPSILON)
    writer.add_rope_dimension_count(model.HEAD)
    writer.add_rope_freq_base(model.ROPE_BASE)
    writer.add_vocab_size(vocabulary)


def add_tokenizer(writer: Any, tokenizer: Tokenizer) -> None:
    """Adds the tokens, how to join them, and the frame of a conversation."""
    from gguf import TokenType  # noqa: PLC0415 - as in write

    ordinary = len(tokenizer.tokens) - len(SPECIALS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE_TOKENIZER)
    writer.add_token_list(list(tokenizer.tokens))
    writer.add_token_types([TokenType.NORMAL] * ordinary + [TokenType.CONTROL] * len(SPECIALS))
    writer.add_token_merges([" ".join(pair) for pair in tokenizer.merges])
    writer.add_bos_token_id(tokenizer.special(USER))
    writer.add_eos_token_id(tokenizer.special(END))
    writer.add_pad_token_id(tokenizer.special(END))
    writer.add_add_bos_token(False)  # noqa: FBT003 - gguf's own signature
    writer.add_chat_template(TEMPLATE)


def add_fact(writer: Any, key: str, value: str | float) -> None:
    """Adds one fact under its key, in the type that fits."""
    if isinstance(value, str):
        writer.add_string(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    else:
        writer.add_float32(key, value)


def add_weight(writer: Any, name: str, weight: Any) -> None:
    """Adds a weight: matrices in blocks of eight bits, vectors as they are."""
    from gguf import GGMLQuantizationType, quants  # noqa: PLC0415 - as in write

    if weight.ndim == 1:
        writer.add_tensor(name, weight)
    else:
        kind = GGMLQuantizationType.Q8_0
        writer.add_tensor(name, quants.quantize(weight, kind), raw_dtype=kind)
