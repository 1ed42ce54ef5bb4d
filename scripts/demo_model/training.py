"""Training: batches of sentences, the loss on their answers, and the rate of learning."""

import math
import random
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from .model import Llama
from .tokenizer import END, Tokenizer

BATCH = 96
POOL = 40
"""Batches sorted by length together, so that little of a batch is padding."""

MATRIX_RATE = 0.01
"""Peak rate of Muon, which learns the layers' matrices from fewer sentences than AdamW."""

OTHER_RATE = 3e-3
"""Peak rate of AdamW, which learns the embedding and the norms."""

DECAY = 0.02
WARM_UP = 100
LAST_RATE = 0.01
REPORT = 100
IGNORED = -100

Sample = tuple[list[int], int]
"""The tokens of a prompt and its answer, and how many of them are the prompt."""


def samples(tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]]) -> list[Sample]:
    """Sentences and answers as tokens."""
    made = []
    for text, answer in pairs:
        prompt = tokenizer.prompt(text)
        made.append(([*prompt, *tokenizer.encode(answer), tokenizer.special(END)], len(prompt)))
    return made


def batches(made: Sequence[Sample], rng: random.Random) -> Iterator[tuple[Tensor, Tensor]]:
    """Tokens and the tokens wanted after them, in an order of chance, without end."""
    while True:
        for pool in pools(rng.sample(made, len(made))):
            starts = range(0, len(pool) - BATCH + 1, BATCH)
            for start in rng.sample(starts, len(starts)):
                yield padded(pool[start : start + BATCH])


def pools(made: Sequence[Sample]) -> Iterator[list[Sample]]:
    """The samples in parts, each sorted by length."""
    for start in range(0, len(made), POOL * BATCH):
        yield sorted(made[start : start + POOL * BATCH], key=lambda sample: len(sample[0]))


def padded(batch: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """One batch as tensors; what follows the prompt counts, the prompt itself does not."""
    longest = max(len(tokens) for tokens, _ in batch)
    given = torch.zeros(len(batch), longest, dtype=torch.long)
    wanted = torch.full((len(batch), longest), IGNORED)
    for row, (tokens, prompt) in enumerate(batch):
        given[row, : len(tokens)] = torch.tensor(tokens)
        wanted[row, prompt - 1 : len(tokens) - 1] = torch.tensor(tokens[prompt:])
    return given, wanted


def rate(step: int, steps: int) -> float:
    """The part of the peak rate: a short rise, then half a cosine down to the last part."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    done = (step - WARM_UP) / max(1, steps - WARM_UP)
    return LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * done)) / 2


def optimizers(model: Llama, part: float = 1.0) -> tuple[Optimizer, Optimizer]:
    """Muon for the matrices of the layers, AdamW for everything else, at *part* of the rates."""
    matrices = [weight for weight in model.blk.parameters() if weight.dim() > 1]
    others = [weight for weight in model.parameters() if all(weight is not m for m in matrices)]
    muon = torch.optim.Muon(
        matrices, lr=part * MATRIX_RATE, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw"
    )
    return muon, torch.optim.AdamW(others, lr=part * OTHER_RATE, betas=(0.9, 0.98), weight_decay=0)


def train(
    model: Llama, made: Sequence[Sample], steps: int, rng: random.Random, part: float = 1.0
) -> None:
    """Trains the network in place, at *part* of the rates, and prints the loss as it falls."""
    both = optimizers(model, part)
    schedules = [LambdaLR(optimizer, lambda step: rate(step, steps)) for optimizer in both]
    started, losses = time.monotonic(), 0.0
    for step, (given, wanted) in zip(range(steps), batches(made, rng), strict=False):
        model.zero_grad()
        loss = answer_loss(model, given, wanted)
        loss.backward()  # type: ignore[no-untyped-call, unused-ignore]  # torch may be missing
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(both, schedules, strict=True):
            optimizer.step()
            schedule.step()
        losses += loss.item()
        if (step + 1) % REPORT == 0:
            passed = time.monotonic() - started
            print(
                f"step {step + 1}/{steps}  loss {losses / REPORT:.4f}  {passed:.0f} s", flush=True
            )
            losses = 0.0


def answer_loss(model: Llama, given: Tensor, wanted: Tensor) -> Tensor:
    """The mean loss on the answers' tokens."""
    counts = wanted != IGNORED
    return functional.cross_entropy(model.logits(model(given)[counts]), wanted[counts])
