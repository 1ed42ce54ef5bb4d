"""What of the speed of the embedded engine arrives at a client: tokens a second over HTTP.

Serves a model of 100 million random weights with `orac serve`, streams answers from
``POST /v1/prompt``, and compares the tokens a second that the client sees, from the first one to
the end of the answer, with those that the engine's own timings tell of the same answers. Exits with
1 when the median of what arrives is less than the target.

    python benchmarks/gateway/engine.py [--answers 24]
"""

import argparse
import http.client
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from attrs import frozen

from benchmarks.gateway.targets import EMBEDDED_RATIO
from benchmarks.serving import ANSWERS_IN_S, Running, serving
from tests.tiny_models import write

MODEL, TOKENS, WARM = "steady", 128, 3
SHAPE = {"width": 1024, "layers": 8, "heads": 16, "kv_heads": 16, "head_width": 64, "hidden": 3072}

Event = tuple[str, Mapping[str, Any]]


@frozen
class Pace:
    """Tokens a second of one answer.

    Attributes:
        client: What arrives.
        engine: What the engine says.
    """

    client: float
    engine: float

    @property
    def ratio(self) -> float:
        """What of the engine's speed arrives."""
        return self.client / self.engine


def main() -> int:
    """Measure, print the medians, and return the exit code."""
    parser = argparse.ArgumentParser(description="What of the engine's speed arrives.")
    parser.add_argument("--answers", type=int, default=24)
    answers = parser.parse_args().answers
    with tempfile.TemporaryDirectory() as name:
        figures = measured(Path(name), answers)
    print(*(f"{name}: {value:.4g}" for name, value in figures.items()), sep="\n")
    return 0 if figures["ratio"] >= EMBEDDED_RATIO else 1


def measured(folder: Path, answers: int) -> dict[str, float]:
    """Return the medians over so many answers, after some that warm the engine."""
    models = folder / "models"
    models.mkdir(parents=True)
    likes = (("hello", 3.0),)  # never the token that ends an answer
    write(models, "tiny-qwen3-1.7b", stem=MODEL, context_length=1024, likes=likes, **SHAPE)
    with serving(folder, "--models-dir", str(models)) as server:
        server.request("POST", "/v1/models/load", {"model": MODEL})
        paces = [_pace(server) for _ in range(WARM + answers)][WARM:]
    return {
        "tokens/s at the client": median(each.client for each in paces),
        "tokens/s by the engine": median(each.engine for each in paces),
        "ratio": median(each.ratio for each in paces),
        "ratio, least": min(each.ratio for each in paces),
        "answers": len(paces),
    }


def _pace(server: Running) -> Pace:
    """Have one answer streamed."""
    first, told = 0.0, dict[str, Any]()
    for name, data in _events(server):
        first = first or time.perf_counter()
        if name == "done":
            told = dict(data)
    took_s = time.perf_counter() - first
    if not told or told["usage"]["completion_tokens"] != TOKENS:
        raise SystemExit(f"this is not the answer that was asked for: {told}")
    return Pace((TOKENS - 1) / took_s, told["timings"]["decode_tokens_per_second"])


def _events(server: Running) -> Iterator[Event]:
    """Ask, and yield each event as it arrives."""
    options = {"max_tokens": TOKENS, "temperature": 0.0}
    body = {"model": MODEL, "prompt": "hello", "stream": True, "options": options}
    connection = http.client.HTTPConnection(server.place, timeout=ANSWERS_IN_S)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/prompt", json.dumps(body), headers)
        response, name = connection.getresponse(), ""
        while line := response.readline():
            field, _, value = line.decode().strip().partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                yield name, json.loads(value)
    finally:
        connection.close()


if __name__ == "__main__":
    raise SystemExit(main())
