"""The figures of a run for people: a row for each test, a row for each model, the verdicts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from .client import Json
from .output import count, marks, note, plain, say, size, table

TESTS = ("MODEL", "SIZE", "PARAMS", "BACKEND", "TEST", "N", "T/S")

DISPENSABLE = ("N", "PARAMS", "SIZE")
"""What is left out where a terminal is too narrow, the first first."""


def show(document: Json) -> None:
    """Write the tables and the verdicts; what went wrong goes to stderr."""
    results = document["results"]
    if rows := [row for each in results for row in _tests(each)]:
        table(TESTS, rows, DISPENSABLE)
    _models(results)
    for each in results:
        _remark(each)
    _verdicts(document)
    note(_ended(document))


def good(document: Json) -> bool:
    """Whether a model was measured, and neither a verification nor a soak speaks against it."""
    measured = any(each["error"] is None for each in document["results"])
    verification, soak = document["verification"], document["soak"]
    trusted = verification is None or verification["trusted"]
    return measured and trusted and (soak is None or soak["passed"])


def mean(figure: Json | None) -> str:
    """Return a mean with the standard deviation, as llama-bench does; ``-`` for None."""
    return "-" if figure is None else f"{figure['mean']:.2f} ± {figure['sd']:.2f}"


def median(figure: Json | None, digits: int = 1) -> str:
    """Return a median with its interval; ``-`` for None."""
    if figure is None:
        return "-"
    ends = [f"{end:.{digits}f}" for end in figure["ci95"] or ()]
    return f"{figure['p50']:.{digits}f}{f' [{ends[0]}, {ends[1]}]' if ends else ''}"


def _tests(result: Json) -> Iterator[list[str]]:
    """Yield a row for reading and one for writing, as llama-bench has them."""
    model = [result["model"], size(result["size_bytes"]), count(result["parameters"])]
    for each in result["workloads"]:
        rates = (each["prefill_tokens_per_second"], each["decode_tokens_per_second"])
        for test, rate in zip(_names(each), rates, strict=True):
            yield [*model, result["kind"], test, plain(each["n"]), mean(rate)]


def _names(workload: Json) -> tuple[str, str]:
    """Return what reading and what writing is called in a workload."""
    depth, at_once = workload["depth"], workload["concurrency"]
    end = f"{f' @ d{depth}' if depth else ''}{f' c{at_once}' if at_once > 1 else ''}"
    if workload["prompt_tokens"] is None:
        name = workload["name"]
        return f"{name} prefill", f"{name} tg{workload['completion_tokens']}"
    return f"pp{workload['prompt_tokens']}{end}", f"tg{workload['completion_tokens']}{end}"


def _models(results: Sequence[Json]) -> None:
    measured = [each for each in results if each["error"] is None]
    known = {
        name: cells
        for name, cell in COLUMNS.items()
        if set(cells := [cell(each) for each in measured]) - {"-"}
    }
    if known:
        rows = zip([each["model"] for each in measured], *known.values(), strict=True)
        say("")
        table(("MODEL", *known), [list(row) for row in rows])


def _baseline(result: Json) -> str:
    found = result["baseline"]
    return f"{found['ratio']:.0%} {found['verdict']}" if found else "-"


def _quality(result: Json) -> str:
    found = result["quality"]
    if not found:
        return "-"
    ends = f" ({found['ci95'][0]:.0f} to {found['ci95'][1]:.0f})" if found["ci95"] else ""
    return f"{found['score']:.1f}{ends}"


def _energy(result: Json) -> str:
    found = result["energy"]
    if not found:
        return "-"
    coarse = ", coarse" if found["coarse"] else ""
    return f"{found['gross_j_per_token']:.3f} ({found['source']}{coarse})"


def _load(result: Json) -> str:
    found = [f"{each['load_ms']:.0f} {each['cache']}" for each in result["loads"]]
    return ", ".join(found) or "-"


COLUMNS: Mapping[str, Callable[[Json], str]] = MappingProxyType(
    {
        "LATENCY MS": lambda result: median(result["latency_ms"]),
        "TTFT MS": lambda result: median(result["ttft_ms"]),
        "TPOT MS": lambda result: median(result["tpot_ms"], 2),
        "LOAD MS": _load,
        "MEMORY": lambda result: size(result["memory"]["bytes"]),
        "BASELINE": _baseline,
        "QUALITY": _quality,
        "J/TOKEN": _energy,
    }
)
"""What is told of each model; a column of which nothing is known is left out."""


def _remark(result: Json) -> None:
    for each in result["workloads"]:
        if each["note"]:
            note(f"{result['model']}, {each['name']}: {each['note']}")
    if result["error"]:
        note(f"{result['model']}: {result['error']}")


def _verdicts(document: Json) -> None:
    signs = marks()
    if found := document["verification"]:
        say(f"{signs.good if found['trusted'] else signs.bad} {found['verdict']}")
        for check in found["checks"]:
            if check["passed"] is False:
                say(f"  {signs.bad} {check['name']}: {check['text']}")
    if soak := document["soak"]:
        for model, each in soak["models"].items():
            say(f"{signs.good if each['passed'] else signs.bad} {model}: {each['verdict']}")


def _ended(document: Json) -> str:
    how = "" if document["ended"] == "completed" else f" ({document['ended']})"
    return f"this is benchmark {document['id']}{how}"
