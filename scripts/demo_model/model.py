"""The network: a llama in plain torch, with the tensor names of GGUF."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

EMBEDDING = 192
BLOCKS = 4
HEADS = 6
HEAD = EMBEDDING // HEADS
FEED_FORWARD = 512
CONTEXT = 512
ROPE_BASE = 10_000.0
EPSILON = 1e-5


def angles(length: int) -> Tensor:
    """Cosine and sine of the rotary embedding, by position and pair of neighbouring values."""
    frequencies = ROPE_BASE ** (-torch.arange(0, HEAD, 2) / HEAD)
    turns = torch.outer(torch.arange(length), frequencies)
    return torch.stack((turns.cos(), turns.sin()))


def rotated(values: Tensor, turns: Tensor) -> Tensor:
    """Values turned by their position, in llama.cpp's order for llama: pairs of neighbours.

    Half-split pairs, as in the transformers library, would need permuted weights in the file.
    """
    even, odd = values[..., 0::2], values[..., 1::2]
    cosine, sine = turns
    turned = (even * cosine - odd * sine, even * sine + odd * cosine)
    return torch.stack(turned, dim=-1).flatten(-2)


class Block(nn.Module):  # type: ignore[misc, unused-ignore]  # torch may be missing
    """One layer: attention and a gated feed-forward network, each after a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.attn_norm = nn.RMSNorm(EMBEDDING, eps=EPSILON)
        self.attn_q = nn.Linear(EMBEDDING, EMBEDDING, bias=False)
        self.attn_k = nn.Linear(EMBEDDING, EMBEDDING, bias=False)
        self.attn_v = nn.Linear(EMBEDDING, EMBEDDING, bias=False)
        self.attn_output = nn.Linear(EMBEDDING, EMBEDDING, bias=False)
        self.ffn_norm = nn.RMSNorm(EMBEDDING, eps=EPSILON)
        self.ffn_gate = nn.Linear(EMBEDDING, FEED_FORWARD, bias=False)
        self.ffn_up = nn.Linear(EMBEDDING, FEED_FORWARD, bias=False)
        self.ffn_down = nn.Linear(FEED_FORWARD, EMBEDDING, bias=False)

    def forward(self, stream: Tensor, turns: Tensor) -> Tensor:
        """The stream after this layer, of the same shape (batch, length, embedding)."""
        stream = stream + self.attention(self.attn_norm(stream), turns)
        normal = self.ffn_norm(stream)
        gated = functional.silu(self.ffn_gate(normal)) * self.ffn_up(normal)
        fed: Tensor = self.ffn_down(gated)
        return stream + fed

    def attention(self, normal: Tensor, turns: Tensor) -> Tensor:
        """What each position reads from itself and those before it."""

        def heads(values: Tensor) -> Tensor:
            return values.view(*values.shape[:2], HEADS, HEAD).transpose(1, 2)

        query, key = rotated(heads(self.attn_q(normal)), turns), heads(self.attn_k(normal))
        read = functional.scaled_dot_product_attention(
            query, rotated(key, turns), heads(self.attn_v(normal)), is_causal=True
        )
        joined: Tensor = self.attn_output(read.transpose(1, 2).flatten(-2))
        return joined


class Llama(nn.Module):  # type: ignore[misc, unused-ignore]  # as above
    """The network, whose embedding is its output matrix as well."""

    turns: Tensor

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.token_embd = nn.Embedding(vocabulary, EMBEDDING)
        self.blk = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.output_norm = nn.RMSNorm(EMBEDDING, eps=EPSILON)
        self.register_buffer("turns", angles(CONTEXT), persistent=False)
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.normal_(weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """The stream behind the last layer for tokens of shape (batch, length)."""
        stream: Tensor = self.token_embd(tokens)
        for block in self.blk:
            stream = block(stream, self.turns[:, : tokens.shape[1]])
        normal: Tensor = self.output_norm(stream)
        return normal

    def logits(self, stream: Tensor) -> Tensor:
        """How likely each token is next, on a logarithmic scale, for positions of the stream."""
        return stream @ self.token_embd.weight.T

    def weights(self) -> dict[str, Any]:
        """The weights as numpy arrays by their name in GGUF."""
        return {name: weight.detach().numpy() for name, weight in self.named_parameters()}
