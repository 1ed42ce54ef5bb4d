"""Reports for programs and for people."""

import csv
import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import orjson
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orac_core.benchmark.compare import compare
from orac_core.benchmark.exports import (
    comparison_json,
    comparison_markdown,
    entry_json,
    go_lines,
    recommendation_json,
    report_csv,
    report_json,
    report_markdown,
    report_page,
)
from orac_core.benchmark.exports.charts import charts
from orac_core.benchmark.exports.figures import count, number, size
from orac_core.benchmark.exports.rows import COLUMNS
from orac_core.benchmark.exports.svg import Scale
from orac_core.benchmark.recommend import recommend
from orac_core.benchmark.results import Energy, Report, Sample, Workload
from orac_core.benchmark.store import Entry, Line
from tests.core.benchmark.reports import broken, id_of, measured, quality, report

ROOT = Path(__file__).parents[3]
NUMBERS = st.floats() | st.none()
TEXTS = st.text(st.characters())
HOSTILE = "local/<img src=x onerror=alert(1)>|`a`\n=1+1\u202e\ud800\0"
SAMPLES = st.builds(
    Sample,
    TEXTS,
    TEXTS,
    st.integers(0, 9),
    st.floats(),
    st.floats(),
    ttft_s=NUMBERS,
    decode_tokens_per_second=NUMBERS,
    completion_tokens=st.none() | st.integers(0, 9),
    energy=st.none() | st.just(Energy(1.0, 1.0, None, "NVML", 1.0, coarse=True)),
    error=st.none() | TEXTS,
)
SPAN = {"n", "min", "max", "mean", "sd", "p50", "p95", "p99", "ci95"}


def two_models(**changes):
    whole = report({"local/a": [40, 41, 42, 43, 44], "local/b": [20, 21, 22, 23, 24]}, **changes)
    return evolve(whole, results=(*whole.results, broken()))


def test_json_has_the_fields_of_the_route_with_units_in_their_names():
    found = report_json(two_models())
    assert {"id", "started_at", "host", "results", "verification", "samples"} <= found.keys()
    assert found["started_at"] == "2026-01-02T02:51:45.000Z"
    first = found["results"][0]
    assert first.keys() >= {"model", "answer", "tpot_ms", "memory", "quality", "baseline", "error"}
    assert first["latency_ms"].keys() == SPAN
    whole = two_models().results[0].headline
    assert first["latency_ms"]["p50"] == pytest.approx(1000 * whole.latency_s.p50)
    assert first["ttft_ms"]["ci95"] == pytest.approx([1000 * end for end in whole.ttft_s.ci95])
    assert first["decode_tokens_per_second"]["p50"] == 42
    assert first["load_ms"] == 2600
    assert first["baseline"] == {
        "ratio": 0.98,
        "verdict": "ok",
        "baseline_tokens_per_second": 42.0,
    }
    assert first["quality"]["parts"]["exact"]["rate"] == 0.75
    assert first["workloads"][0]["name"] == "pp512+tg128"
    assert found["samples"][0]["gaps_ms"] == [25.0] * 3


def test_json_keeps_the_order_and_tells_what_failed():
    found = report_json(two_models())
    assert [one["model"] for one in found["results"]] == ["local/a", "local/b", "local/broken"]
    failed = found["results"][2]
    assert failed["error"] == "it did not load: out of memory"
    assert {failed[name] for name in ("latency_ms", "energy", "quality", "load_ms")} == {None}
    assert failed["workloads"] == []


def names(value):
    if isinstance(value, dict):
        yield from value
        for one in value.values():
            yield from names(one)
    elif isinstance(value, list):
        for one in value:
            yield from names(one)


def test_every_field_and_column_is_documented():
    whole = two_models(host={}, options={}, devices=())
    parts = [evolve(one, quality=None) for one in whole.results]
    documents = [
        report_json(evolve(whole, results=(whole.results[0], *parts))),
        comparison_json(compare(whole, two_models(host={"mode": 1}, options={}))),
        entry_json(Entry("a", "full", 1.0, 2.0, "completed", (Line("m"),))),
    ]
    page = (ROOT / "docs/reference/benchmark-report.md").read_text()
    told = set(re.findall(r"`(\w+)`", page))
    own = {"exact"}  # a part of this test's quality
    assert {name for document in documents for name in names(document)} - told - own == set()
    _, _, section = page.partition("## CSV")
    listed = re.findall(r"`(\w+)`", section.partition("## ")[0])
    assert tuple(listed) == COLUMNS


def test_no_time_leaves_in_seconds_and_no_name_says_so():
    documents = [
        report_json(two_models(devices=())),
        comparison_json(compare(two_models(), two_models())),
        recommendation_json(recommend([two_models()])),
        entry_json(Entry("a", "full", 1.0, 2.0, "completed", (Line("m", latency_s=1.0),))),
    ]
    endings = ("_s", "_seconds", "watts", "hertz", "joules")
    found = {name for document in documents for name in names(document)}
    assert {name for name in found if name.endswith(endings)} == set()


@given(st.lists(SAMPLES, max_size=4), st.dictionaries(TEXTS, NUMBERS | TEXTS, max_size=3))
def test_whatever_was_measured_json_is_strict_and_has_no_nan(samples, host):
    whole = Report("id", "latency", math.nan, math.inf, host, samples=tuple(samples))
    document = report_json(whole)
    json.dumps(document, allow_nan=False)
    assert orjson.dumps(document)
    assert document["started_at"] is document["elapsed_ms"] is None


def test_json_of_a_comparison_says_whether_the_two_can_be_compared():
    other = evolve(two_models(), id=id_of(2), host={"power_mode": "MAXN"})
    found = comparison_json(compare(two_models(), other))
    assert (found["old"], found["new"], found["comparable"]) == (id_of(1), id_of(2), False)
    assert "not comparable: host.power_mode 15W against MAXN" in {
        one["message"] for one in found["differences"]
    }
    latency = found["results"][0]["changes"][0]
    assert (latency["metric"], latency["verdict"], latency["ratio"]) == ("latency_ms", "same", 0.0)
    assert latency["old"]["median"] > 1000


def test_json_of_a_recommendation_has_the_fronts():
    found = recommendation_json(recommend([two_models()]))
    assert [one["model"] for one in found["overall"]["front"]] == ["local/a"]
    assert found["overall"]["dominated"][0]["dominated_by"] == ["local/a"]
    assert found["overall"]["front"][0]["ttft_ms"]["value"] == pytest.approx(203)
    assert found["roles"].keys() == {"general"}


def test_json_of_a_listing_has_medians():
    line = Line("local/a", "ff", "b1", "pp512", 1.5, 0.25, 40.0, 75.0, 0.5)
    found = entry_json(Entry("id", "full", 0.0, 1.0, "completed", (line,)))
    (row,) = found["results"]
    assert (found["started_at"], row["latency_ms"], row["ttft_ms"], row["quality_score"]) == (
        "1970-01-01T00:00:00.000Z",
        1500,
        250,
        75,
    )


def rows(whole):
    return list(csv.DictReader(io.StringIO(report_csv(whole), newline="")))


def test_csv_has_one_row_for_each_request():
    whole = two_models()
    found = rows(whole)
    assert len(found) == len(whole.samples)
    assert found[0]["model"] == "local/a"
    assert float(found[0]["elapsed_ms"]) == pytest.approx(1000 * whole.samples[0].elapsed_s)
    assert (found[0]["disturbed"], found[0]["error"]) == ("false", "")
    assert report_csv(whole).count("\r\n") == len(found) + 1


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1"])
def test_csv_holds_no_formula(text):
    whole = report()
    found = rows(evolve(whole, samples=(evolve(whole.samples[0], model=text, error=text),)))
    assert found[0]["model"] == found[0]["error"] == f"'{text}"


@given(st.lists(SAMPLES, max_size=4))
def test_csv_can_be_read_whatever_is_in_it(samples):
    whole = Report("id", "latency", 1.0, 2.0, {}, samples=tuple(samples))
    found = rows(whole)
    assert len(found) == len(samples)
    assert all(None not in row and None not in row.values() for row in found)


def test_csv_has_numbers_below_zero_as_they_are():
    whole = report()
    found = rows(evolve(whole, samples=(evolve(whole.samples[0], elapsed_s=-1.0),)))
    assert found[0]["elapsed_ms"] == "-1000.0"


def test_markdown_has_the_table_of_llama_bench_and_all_sides():
    text = report_markdown(two_models())
    assert "| model | size | params | backend | test | t/s |" in text
    assert "| local/a | 1.00 GiB | 600 M | llamacpp | pp512 | 420.00 ± 15.81 |" in text
    assert "| local/a | 1.00 GiB | 600 M | llamacpp | tg128 | 42.00 ± 1.58 |" in text
    assert re.search(r"\| local/b \|.*\| 75\.0 \[.*\| local/a \|$", text, re.MULTILINE)
    assert "failed: it did not load: out of memory" in text


def test_markdown_names_depth_and_concurrency():
    whole = report()
    deep = Workload("pp512+tg128@d2048c4", depth=2048, concurrency=4)
    own = Workload("own", None, prompts=("Hello",))
    (result,) = whole.results
    both = (measured(whole.samples, deep), measured(whole.samples, own))
    text = report_markdown(evolve(whole, results=(evolve(result, measured=both),)))
    assert "| pp512 @ d2048 c4 |" in text
    assert "| tg128 @ d2048 c4 |" in text
    assert "| own prefill |" in text


def test_markdown_shows_hostile_names_as_text_in_one_cell():
    text = report_markdown(report({HOSTILE: [1.0]}))
    lines = [line for line in text.splitlines() if "onerror" in line]
    assert len(lines) == 3
    assert all(r"\<img src=x onerror=alert(1)\>\|\`a\` =1+1" in line for line in lines)


@pytest.mark.parametrize("name", ["Qwen3-0.6B-Q4_K_M", "tiny:latest", "x [1]"])
def test_markdown_leaves_names_readable(name):
    assert f"| local/{name} |" in report_markdown(report({f"local/{name}": [1.0]}))


def test_markdown_of_a_comparison_marks_what_can_not_be_told_apart():
    slow = report({"local/a": [30, 31, 32, 33, 34]}, number=2, host={"power_mode": "MAXN"})
    text = comparison_markdown(compare(two_models(), slow))
    assert "- not comparable: host.power_mode 15W against MAXN" in text
    assert re.search(r"\| decode_tokens_per_second \|.*\| -23\.8 % \(worse\) \| 0\.008 \|", text)
    assert re.search(r"\| ttft_ms \|.*\| ~ \|", text)
    assert "(too few to tell)" in text
    assert "Only in the old one: local/b, local/broken" in text


GO_LINE = re.compile(r"Benchmark\w+(/[a-z]+=[^\s/]+)*-1 1( -?[\d.]+(e[+-]?\d+)? [^\s\d]\S*)+")


def test_go_lines_have_one_line_for_each_answer():
    whole = two_models()
    warm = evolve(whole.samples[0], round=0)
    failed = evolve(whole.samples[0], error="it broke")
    text = go_lines(evolve(whole, samples=(warm, failed, *whole.samples)))
    found = [line for line in text.splitlines() if line.startswith("Benchmark")]
    assert len(found) == len(whole.samples)
    assert all(map(GO_LINE.fullmatch, found))
    assert found[0].startswith(
        "BenchmarkAnswer/instance=local/model=a/workload=pp512+tg128-1 1 3.375e+09 ns/op"
    )
    assert "40 decode-tokens/s" in found[0]
    assert "Unit decode-tokens/s better=higher" in text
    assert "host-power-mode: 15W" in text


@given(st.lists(SAMPLES, max_size=4), st.dictionaries(TEXTS, TEXTS, max_size=3))
def test_go_lines_keep_their_form_whatever_is_in_them(samples, host):
    finite = [evolve(one, round=1, error=None, elapsed_s=1.0) for one in samples]
    whole = Report("id", "latency", 1.0, 2.0, host, samples=tuple(finite))
    head, _, body = go_lines(whole).partition("\n\n")
    assert all(map(GO_LINE.fullmatch, body.split("\n")[:-1]))
    assert body.count("\n") == len(finite)
    assert all(re.match(r"[a-z][^\s:]*: |Unit |# ", line) for line in head.split("\n"))


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data):
        self.words.append(data)


def test_p54_p55_markup_of_models_and_answers_is_shown_as_text():
    whole = report({HOSTILE: [1.0, 2.0]})
    whole = evolve(
        whole,
        host={HOSTILE: HOSTILE},
        ended=HOSTILE,
        results=tuple(
            evolve(one, answer="</pre><script>alert(1)</script>", error="<b>bold</b>")
            for one in whole.results
        ),
    )
    page = Page(report_page(whole))
    assert {"img", "script", "b"} & set(page.tags) == set()
    assert {"onerror", "src", "href", "style"} & page.attributes == set()
    assert "</pre><script>alert(1)</script>" in page.words


def test_a_page_fetches_nothing_and_may_run_nothing():
    text = report_page(two_models())
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src &#x27;none&#x27;; style-src &#x27;sha256-")
    assert "unsafe" not in policy
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


def test_a_page_has_four_charts_each_with_its_text():
    text = report_page(two_models())
    assert text.count("<svg role=") == text.count("<figcaption>") == 4
    assert [chart.title for chart in charts(two_models())] == [
        "Latency of each answer",
        "Decode rate over the rounds",
        "Speed against quality",
        "Power over time",
    ]
    assert "Nobody should pick local/b: beaten by local/a." in text


def test_the_text_of_a_chart_has_its_numbers():
    whole = two_models()
    low, high = (f"{1000 * end:.0f}" for end in whole.results[0].headline.latency_s.ci95)
    latency, rate, trade, power = (chart.summary for chart in charts(whole))
    assert f"local/a 3224 [{low}, {high}]; local/b" in latency
    assert "local/a 40.0 to 44.0; local/b 20.0 to 24.0." in rate
    assert re.search(r"local/b 22\.0 \[2\d\.\d, 2\d\.\d\] and 75\.0 \[66\.6, 81\.9\]\.", trade)
    assert power == "Mean 9.50 W, at most 11.0 W, over 59.0 s."


def test_charts_without_figures_are_left_out():
    whole = two_models(devices=({"at": "never"}, {"at": 1.0, "power_w": None}, {}))
    bare = evolve(whole, results=tuple(evolve(one, quality=None) for one in whole.results))
    assert len(list(charts(bare))) == 2
    assert list(charts(evolve(bare, results=(broken(),), samples=()))) == []
    assert "<svg" not in report_page(Report("id", "latency", 1.0, 2.0, {}))


def test_charts_without_samples_show_what_they_came_to():
    whole = evolve(two_models(), samples=())
    assert [chart.title for chart in charts(whole)] == [
        "Latency of each answer",
        "Speed against quality",
        "Power over time",
    ]


def test_many_samples_make_no_huge_drawing():
    whole = report({"local/a": [40.0 + nth % 7 for nth in range(20_000)]})
    assert len(report_page(whole)) < 400_000


@given(st.lists(st.floats(), min_size=1, max_size=9), st.booleans())
def test_a_scale_has_a_place_for_every_value(values, zero):
    known = [value for value in values if math.isfinite(value) and abs(value) < 1e100]
    scale = Scale.over(known, 10, 100, zero=zero)
    assert all(10 <= scale(value) <= 100 for value in known)
    ticks = list(scale.ticks)
    assert ticks == sorted(ticks)
    assert 1 <= len(ticks) <= 12
    assert all(9.9 <= scale(tick) <= 100.1 for tick in ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (math.nan, "-"),
        (math.inf, "-"),
        (0, "0"),
        (0.000123456, "0.000123"),
        (1.23456, "1.23"),
        (-12.3456, "-12.3"),
        (123456.7, "123457"),
    ],
)
def test_numbers_are_told_with_the_digits_that_count(value, text):
    assert number(value) == text


def test_amounts_are_told_with_their_unit():
    assert [size(value) for value in (None, 0, 1023, 1 << 20, 3 << 29)] == [
        "-",
        "0 B",
        "1023 B",
        "1.00 MiB",
        "1.50 GiB",
    ]
    assert [count(value) for value in (None, 12, 1_500, 600_000_000, 7_600_000_000)] == [
        "-",
        "12",
        "1.50 K",
        "600 M",
        "7.60 B",
    ]


def test_quality_of_no_tasks_is_told_without_a_rate():
    whole = report()
    (result,) = whole.results
    nothing = evolve(quality(), parts={"exact": evolve(quality().parts["exact"], n=0, hits=0)})
    found = report_json(evolve(whole, results=(evolve(result, quality=nothing),)))
    assert found["results"][0]["quality"]["parts"]["exact"]["rate"] is None
