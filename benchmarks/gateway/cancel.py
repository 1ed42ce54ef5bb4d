"""How soon the engine is told when a client leaves.

A client of `POST /v1/prompt` closes its connection, in half of the cases after some tokens and in
half of them before the first; the fake engine notes when its own connection was closed. Prints how
long that took, and exits with 1 unless it did in every case: within 0.3 s while tokens flow, and
within 2 s before the first.

    python benchmarks/gateway/cancel.py [--cases 100]
"""

import argparse
import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.gateway import programs
from benchmarks.gateway.programs import MODEL, PROMPT, Gateway

FLOWING_S, SILENT_S, PATIENCE_S = 0.3, 2.0, 10.0
PACE_US, LONG_US, TOKENS, MOST_READ = 20_000, 60_000_000, 5_000, 5
LOOK_S = 0.001


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description="How soon the engine is told of who leaves.")
    parser.add_argument("--cases", type=int, default=100)
    cases = parser.parse_args().cases
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with programs.upstream(folder) as engine, programs.orac(folder, engine.port) as orac:
            flowing = [_flowing(orac, engine, 2 * it, 1 + it % MOST_READ) for it in range(cases)]
            silent = [_silent(orac, engine, 2 * it + 1, stream=it % 2 == 0) for it in range(cases)]
    good = _told("after some tokens", flowing, FLOWING_S)
    return 0 if _told("before the first token", silent, SILENT_S) and good else 1


def _told(when: str, took: list[float], limit_s: float) -> bool:
    within = sum(each <= limit_s for each in took)
    shown = f"median {1000 * median(took):.1f} ms, longest {1000 * max(took):.1f} ms"
    print(f"{when}: {within} of {len(took)} within {limit_s:g} s; {shown}")
    return within == len(took)


def _flowing(orac: Gateway, engine: Gateway, mark: int, tokens: int) -> float:
    """Leave after so many tokens; return the seconds until the engine knows."""
    with _asked(orac, f"mark={mark} pace_us={PACE_US}", stream=True) as client:
        seen = b""
        while seen.count(b"~") < tokens:
            seen += client.recv(65536)
    return _noticed(engine, mark, time.monotonic())


def _silent(orac: Gateway, engine: Gateway, mark: int, *, stream: bool) -> float:
    """Leave while the engine has not written anything yet."""
    before = _stats(engine)["streams"]
    with _asked(orac, f"mark={mark} first_us={LONG_US}", stream=stream):
        _until(lambda: _stats(engine)["streams"] > before)
    return _noticed(engine, mark, time.monotonic())


def _asked(orac: Gateway, prompt: str, *, stream: bool) -> socket.socket:
    options = {"max_tokens": TOKENS}
    body = {"model": MODEL, "prompt": prompt, "stream": stream, "options": options}
    content = json.dumps(body).encode()
    head = (
        f"POST {PROMPT} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    client = socket.create_connection(("127.0.0.1", orac.port), timeout=PATIENCE_S)
    client.sendall(head.encode() + content)
    return client


def _noticed(engine: Gateway, mark: int, left_at: float) -> float:
    """Return the seconds from *left_at* until the engine had noticed; infinity for never."""

    def when() -> Iterator[float]:
        return (at / 1e6 for known, at, _ in _stats(engine)["aborts"] if known == mark)

    _until(lambda: any(True for _ in when()))
    return next((max(0.0, at - left_at) for at in when()), float("inf"))


def _until(condition: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < ends_at:
        time.sleep(LOOK_S)


def _stats(engine: Gateway) -> dict[str, Any]:
    told: dict[str, Any] = engine.request("GET", "/stats")[1]
    return told


if __name__ == "__main__":
    raise SystemExit(main())
