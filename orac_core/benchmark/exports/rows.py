"""Samples as CSV (RFC 4180), one row for each request."""

import csv
import io
from typing import Any

from ..results import Report, Sample
from ..samples import j_per_token
from .wire import ms, timestamp

COLUMNS = (
    *("benchmark", "model", "workload", "round", "started_at", "elapsed_ms", "queue_ms", "ttft_ms"),
    *("tpot_ms", "prompt_tokens", "completion_tokens", "cached_tokens"),
    *("prefill_tokens_per_second", "decode_tokens_per_second", "energy_j", "j_per_token"),
    *("finish_reason", "disturbed", "error"),
)

_FORMULA = ("=", "+", "-", "@")


def report_csv(report: Report) -> str:
    """Return the samples of a report: a line with the names of the columns, then theirs.

    A text that a spreadsheet would take for a formula begins with an apostrophe. What is not known
    is empty.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(value) for value in _row(report.id, one)] for one in report.samples)
    return out.getvalue()


def _row(report: str, one: Sample) -> tuple[Any, ...]:
    spans = one.elapsed_s, one.queue_s, one.ttft_s, one.tpot_s
    return (
        *(report, one.model, one.workload, one.round, timestamp(one.started_at)),
        *map(ms, spans),
        *(one.prompt_tokens, one.completion_tokens, one.cached_tokens),
        *(one.prefill_tokens_per_second, one.decode_tokens_per_second),
        *(one.energy.joules if one.energy else None, j_per_token(one)),
        *(one.finish_reason, one.disturbed, one.error),
    )


def _cell(value: Any) -> Any:
    """Return a value as it stands in a cell; what is no number is not known."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value - value != 0:
        return None
    if isinstance(value, str):
        text = value.encode(errors="replace").decode().replace("\0", "�")
        return f"'{text}" if text.lstrip().startswith(_FORMULA) or text[:1] in "\t\r\n" else text
    return value
