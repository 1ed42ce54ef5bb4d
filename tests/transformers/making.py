"""Making a tiny checkpoint: an architecture of transformers' with random weights, all offline."""

import json
from pathlib import Path
from string import ascii_letters

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.tiny_checkpoints import TEMPLATE

SPECIAL = ("<s>", "</s>")
CONTEXT = 1 << 17


def make(path: Path, *, context_length: int = CONTEXT, **changes) -> Path:
    """Write a checkpoint whose tokens are the 256 bytes; it writes ASCII, and never ends by itself.

    Args:
        path: The folder to make.
        context_length: Tokens that it is made for.
        changes: What else is in its ``config.json``.
    """
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(path)
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context_length,
        bos_token_id=0,
        eos_token_id=1,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():  # what is no letter is never the likeliest
        silent = [number for number, letter in enumerate(_letters()) if letter not in ascii_letters]
        model.lm_head.weight[silent] = 0.0
        model.lm_head.weight *= 20.0
    model.save_pretrained(path)
    change(path, **changes)
    return path


def change(path: Path, **changes) -> None:
    """Change what stands in the configuration of a checkpoint."""
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | changes))


def _letters() -> list[str]:
    return [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]


def _tokenizer() -> PreTrainedTokenizerFast:
    plain = Tokenizer(models.BPE(vocab={it: n for n, it in enumerate(_letters())}, merges=[]))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    named = dict(zip(("bos_token", "eos_token"), SPECIAL, strict=True))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, **named)
    tokenizer.chat_template = TEMPLATE
    return tokenizer
