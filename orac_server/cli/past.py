"""What was measured before, for people: which runs there are, what changed, what to take."""

from collections.abc import Iterator
from typing import Any

from .client import Json
from .output import note, plain, size, table

RUNS = ("ID", "STARTED", "SUITE", "ENDED", "MODEL", "TEST", "LATENCY MS", "T/S", "QUALITY")
CHANGES = ("MODEL", "TEST", "FIGURE", "OLD", "NEW", "DELTA", "P")
CHOICES = ("FOR", "MODEL", "T/S", "TTFT MS", "QUALITY", "J/TOKEN", "MEMORY", "VERDICT")

FIGURES = ("decode_tokens_per_second", "ttft_ms", "quality_score", "gross_j_per_token")


def show_list(listing: Json) -> None:
    """Write the runs that are kept, a row for each of their models."""
    runs = listing["data"]
    table(RUNS, [row for run in runs for row in _run(run)], ("QUALITY", "TEST", "ENDED"))
    if not runs:
        note("no benchmark has been kept yet; `orac bench MODEL` runs one")


def show_comparison(comparison: Json) -> None:
    """Write what changed, ``~`` for what chance alone may do; what is not comparable on stderr."""
    rows = [row for pair in comparison["results"] for row in _pair(pair)]
    table(CHANGES, rows, ("P",))
    for each in comparison["differences"]:
        note(each["message"])
    for side, key in (("first", "only_old"), ("second", "only_new")):
        if comparison[key]:
            note(f"only in the {side}: {', '.join(comparison[key])}")


def show_recommendations(found: Json) -> None:
    """Write the models worth choosing, then those that nobody should pick and why."""
    fronts = {"all": found["overall"], **found["roles"]}
    table(CHOICES, [row for name, front in fronts.items() for row in _front(name, front)])
    for each in found["notes"]:
        note(each)


def _run(run: Json) -> Iterator[list[str]]:
    head = [run["id"], plain(run["started_at"]), run["suite"], run["ended"]]
    for each in run["results"] or ():
        figures = (each["latency_ms"], each["decode_tokens_per_second"], each["quality_score"])
        numbers = [_number(it) for it in figures]
        yield [*head, each["model"], plain(each["workload"]), *numbers]
    if not run["results"]:
        yield [*head, *["-"] * (len(RUNS) - len(head))]


def _pair(pair: Json) -> Iterator[list[str]]:
    renamed = pair["old_model"] != pair["model"]
    model = f"{pair['old_model']} > {pair['model']}" if renamed else pair["model"]
    for each in pair["changes"]:
        sides = [_side(each["metric"], each[side]) for side in ("old", "new")]
        p = "-" if each["p"] is None else f"{each['p']:.3f}"
        yield [model, plain(pair["workload"]), each["metric"], *sides, _delta(each), p]


def _side(metric: str, value: Json | None) -> str:
    """Return one side: its median, half its interval in percent, and of how many."""
    if value is None:
        return "-"
    median, ci95 = value["median"], value["ci95"]
    shown = size(round(median)) if metric.endswith("_bytes") else f"{median:.2f}"
    half = (ci95[1] - ci95[0]) / 2 / median if ci95 and median else None
    return f"{shown}{'' if half is None else f' ± {half:.0%}'} (n={value['n']})"


def _delta(change: Json) -> str:
    """Return by how much it changed; ``~`` for what is not distinguishable, ``?`` for too few."""
    if change["verdict"] in {"same", "unknown"}:
        return "~" if change["verdict"] == "same" else "?"
    ratio = change["ratio"]
    return change["verdict"] if ratio is None else f"{ratio:+.1%} {change['verdict']}"


def _front(name: str, front: Json) -> Iterator[list[str]]:
    for each in front["front"]:
        yield [name, *_candidate(each), "worth choosing"]
    for each in front["dominated"]:
        yield [name, *_candidate(each), f"take {' or '.join(each['dominated_by'])} instead"]


def _candidate(candidate: Json) -> list[str]:
    numbers = [_number(_value(candidate, name)) for name in FIGURES]
    memory = _value(candidate, "memory_bytes")
    return [candidate["model"], *numbers, size(None if memory is None else round(memory))]


def _value(candidate: Json, name: str) -> Any:
    return candidate[name]["value"] if name in candidate else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
