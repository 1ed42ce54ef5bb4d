"""What a cluster costs and is worth: the kind ``ray`` beside the kind that its replicas hold.

Everything runs side by side in one run, and what counts are medians: the time that is added to an
answer and to its first token, tokens a second through one stream, two replicas against one, nodes
that are killed under load, and the memory and CPU time of each process. Prints the figures, and for
each target whether it is reached; exits with 1 when one is missed. Needs ``pip install
'orac[ray]'`` and about three minutes of a machine that does nothing else.

    python benchmarks/cluster/run.py [--only speed|nodes|costs] [--times 100] [--json FILE]
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import uvloop

from benchmarks.cluster import costs, nodes, speed
from benchmarks.cluster.targets import judged


def main() -> int:
    """Measure, print, and return the exit code."""
    told = _arguments()
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "speed": lambda: uvloop.run(speed.measured(told.times)),
        "nodes": lambda: uvloop.run(nodes.measured(told.kills)),
        "costs": costs.measured,
    }
    figures = {name: part() for name, part in parts.items() if told.only in (None, name)}
    for line in lines(figures):
        print(line)
    verdicts = judged(figures)
    print(*verdicts, sep="\n")
    if told.json:
        told.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False))
    return 0 if all(each.reached for each in verdicts) else 1


def lines(figures: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Yield a line for each figure."""
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from lines(value, f"{before}{name}: ")
        else:
            yield f"{before}{name}: {_number(value)}"


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What a cluster costs and is worth.")
    parser.add_argument("--only", choices=("speed", "nodes", "costs"))
    parser.add_argument("--times", type=int, default=100, help="each question")
    parser.add_argument("--kills", type=int, default=3, help="nodes that are killed")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
