"""Trains the demo model: robot commands in English to compact JSON, in minutes on two cores.

    python scripts/train_demo_model.py              # trains, measures and writes model and page
    python scripts/train_demo_model.py --evaluate orac_server/demo/orac-robot.gguf

The data is made here, by the grammar in ``demo_model``; the same seed makes the same data. What is
measured is what the real engine answers through its chat endpoint to wordings that training never
showed.
"""

import argparse
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

from demo_model import grammar, measurement, page
from demo_model.grammar import commands, unseen
from demo_model.tokenizer import Tokenizer, learn_merges

__all__ = ["commands", "main", "unseen"]

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "orac_server" / "demo" / "orac-robot.gguf"
PAGE = ROOT / "docs" / "reference" / "demo-model.md"
SEED = 2026
COURSES = ((1000, 560, grammar.SECOND_SHARES, 0.3), (1001, 340, grammar.THIRD_SHARES, 0.25))
"""What follows the first course: what is added to the seed, steps, shares, part of the rates."""
STEPS = 2600
SENTENCES = 250_000
SENTENCES_FOR_MERGES = 20_000
MERGES = 480
EVALUATED = 3000
THREADS = 2
SHOWN_MISTAKES = 20


def main(arguments: Sequence[str] | None = None) -> None:
    """Does what the command line asks for."""
    options = parser().parse_args(arguments)
    if options.evaluate:
        report(measurement.measure(options.evaluate, options.seed + 1, options.count))
        return
    started = time.monotonic()
    tokenizer, weights = trained(options.seed, options.steps)
    minutes = (time.monotonic() - started) / 60
    publish(options, tokenizer, weights, minutes)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    made.add_argument("--output", type=Path, default=MODEL, help="the GGUF file to write")
    made.add_argument("--docs", type=Path, help="the page to write the measure into")
    made.add_argument("--steps", type=int, default=STEPS, help="steps of training")
    made.add_argument("--seed", type=int, default=SEED, help="seed of data and weights")
    made.add_argument("--count", type=int, default=EVALUATED, help="unseen sentences to measure")
    made.add_argument("--evaluate", type=Path, metavar="GGUF", help="only measure this file")
    return made


def trained(seed: int, steps: int) -> tuple[Tokenizer, dict[str, object]]:
    """A tokenizer and the weights of a network, both trained on the sentences of this seed."""
    # Threads that wait for work without spinning leave the cores to whoever shares them.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import torch  # noqa: PLC0415 - whoever only wants the sentences needs no torch
    from demo_model import model, training  # noqa: PLC0415 - these import torch

    torch.set_num_threads(THREADS)
    torch.manual_seed(seed)
    pairs = commands(seed, SENTENCES)
    texts = [part for pair in pairs[:SENTENCES_FOR_MERGES] for part in pair]
    tokenizer = Tokenizer(learn_merges(texts, MERGES))
    network = model.Llama(len(tokenizer.tokens))
    rng = random.Random(seed)  # noqa: S311 - the order of the data, no secret
    training.train(network, training.samples(tokenizer, pairs), steps, rng)
    for added, more, shares, part in COURSES:
        pairs = commands(seed + added, SENTENCES, shares)
        training.train(network, training.samples(tokenizer, pairs), more, rng, part)
    return tokenizer, network.weights()


def publish(
    options: argparse.Namespace, tokenizer: Tokenizer, weights: dict[str, object], minutes: float
) -> None:
    """Writes the file, measures it, and writes it again with what was measured."""
    from demo_model import export  # noqa: PLC0415 - it imports torch

    facts: dict[str, str | int | float] = {
        "orac.demo.grammar": grammar.described(),
        "orac.demo.seed": options.seed,
    }
    export.write(options.output, tokenizer, weights, facts)
    measured = measurement.measure(options.output, options.seed + 1, options.count)
    facts["orac.demo.accuracy"] = measured.total.share
    facts["orac.demo.evaluated"] = measured.total.count
    export.write(options.output, tokenizer, weights, facts)
    if about := options.docs or (PAGE if options.output == MODEL else None):
        page.update(about, measured, options.output, minutes)
    report(measured)


def report(measured: measurement.Measurement) -> None:
    """Prints the scores and some of the mistakes."""
    for sentence, wanted, given in measured.mistakes[:SHOWN_MISTAKES]:
        print(f"{sentence!r}\n  wanted {wanted}\n  given  {given}")
    for action, score in measured.actions.items():
        print(f"{action:8} {score.right:5} of {score.count:5}  {score.share:.2%}")
    print(f"numerals {measured.numerals.right} of {measured.numerals.count}")
    print(f"all {measured.total.right} of {measured.total.count}: {measured.total.share:.2%}")


if __name__ == "__main__":
    main()
