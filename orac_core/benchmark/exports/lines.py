"""Samples as lines of Go's benchmark format, which ``benchstat`` compares.

The format is that of https://go.dev/design/14313-benchmark-format.
"""

import math
import re
from collections.abc import Iterator
from urllib.parse import quote

from ..results import Report, Sample
from ..samples import j_per_token
from .wire import timestamp

UNITS = {
    "ttft-ns": "lower",
    "tpot-ns": "lower",
    "prefill-tokens/s": "higher",
    "decode-tokens/s": "higher",
    "J/token": "lower",
}
"""Which way is better, of each unit beside ``ns/op``."""

_SAFE = ":.,@+_-"


def go_lines(report: Report) -> str:
    """Return one line for each request that was answered, those of the warm-up left out.

    Names are percent-encoded where they have a ``/``, a space or a sign that is no ASCII.
    """
    answered = [one for one in report.samples if one.round > 0 and one.error is None]
    lines = (*_head(report), "", *map(_line, answered))
    return "\n".join(lines) + "\n"


def _head(report: Report) -> Iterator[str]:
    # Not in a configuration line: benchstat compares only what has the same configuration.
    yield f"# {_word(report.id)}, started {timestamp(report.started_at)}"
    for name, value in sorted(report.host.items(), key=str):
        if isinstance(value, str | int | float):
            yield f"host-{_key(name)}: {_one_line(str(value))}"
    yield from (f"Unit {unit} better={better}" for unit, better in UNITS.items())


def _line(one: Sample) -> str:
    instance, _, model = one.model.partition("/")
    name = f"instance={_word(instance)}/model={_word(model)}/workload={_word(one.workload)}"
    # The number at the end is that of threads; without it one that a name ends in would be.
    return f"BenchmarkAnswer/{name}-1 1 {' '.join(_values(one))}"


def _values(one: Sample) -> Iterator[str]:
    found = (
        (one.elapsed_s * 1e9, "ns/op"),
        (None if one.ttft_s is None else one.ttft_s * 1e9, "ttft-ns"),
        (None if one.tpot_s is None else one.tpot_s * 1e9, "tpot-ns"),
        (one.prefill_tokens_per_second, "prefill-tokens/s"),
        (one.decode_tokens_per_second, "decode-tokens/s"),
        (j_per_token(one), "J/token"),
    )
    for value, unit in found:
        if value is not None and math.isfinite(value):
            yield f"{value:.9g} {unit}"


def _word(text: str) -> str:
    return quote(text, safe=_SAFE, errors="replace") or "none"


def _key(name: object) -> str:
    return re.sub("[^a-z0-9]+", "-", str(name).lower()).strip("-") or "value"


def _one_line(text: str) -> str:
    return " ".join(text.encode(errors="replace").decode().split())
