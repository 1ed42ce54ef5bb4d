"""A report as bytes."""

import math

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orac_core.benchmark import record
from orac_core.benchmark.record import Record, Unreadable, pack, unpack
from orac_core.benchmark.results import Report, Sample
from tests.core.benchmark.reports import broken, report

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SAMPLES = st.builds(
    Sample,
    st.text(),
    st.text(),
    st.integers(0, 1000),
    NUMBERS,
    NUMBERS,
    ttft_s=st.none() | NUMBERS,
    gaps_s=st.lists(NUMBERS).map(tuple),
    error=st.none() | st.text(st.characters()),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text() | NUMBERS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def test_a_whole_report_comes_back_as_it_was():
    before = report({"local/a": [1.0, 2.0], "local/b": [3.0]})
    before = evolve(before, results=(*before.results, broken()))
    assert unpack(pack(before)) == before


@given(st.lists(SAMPLES, max_size=5), st.dictionaries(st.text(), JSON, max_size=3))
def test_whatever_is_in_it_comes_back(samples, host):
    before = Report("id", "latency", 1.0, 2.0, host, samples=tuple(samples))
    assert unpack(pack(before)) == before


def test_text_that_is_no_unicode_and_numbers_beyond_64_bits_are_kept():
    after = unpack(pack(report(host={"name": "half \ud800", "huge": 1 << 80})))
    assert after.host == {"name": "half \ud800", "huge": pytest.approx(1 << 80)}


def test_a_number_that_is_none_does_not_spoil_the_rest():
    after = unpack(pack(report(seconds=math.nan)))
    assert math.isnan(after.seconds)
    assert after.results == report().results


def test_only_a_large_one_is_compressed():
    assert not pack(Report("id", "latency", 1.0, 2.0, {})).compressed
    large = pack(report({"local/a": range(1, 100)}))
    assert large.compressed
    assert len(large.document) < 20_000


def test_one_that_is_too_large_goes_without_gaps_then_without_samples(monkeypatch):
    whole = report({"local/a": range(1, 100)})
    without_gaps = evolve(whole, samples=tuple(evolve(one, gaps_s=()) for one in whole.samples))
    size = len(record._json(without_gaps))
    monkeypatch.setattr(record, "MOST_BYTES", size)
    assert unpack(pack(whole)) == without_gaps
    monkeypatch.setattr(record, "MOST_BYTES", size - 1)
    bare = unpack(pack(whole))
    assert (bare.samples, bare.devices, bare.results) == ((), (), whole.results)


@pytest.mark.parametrize(
    "bytes_",
    [b"", b"{", b"[]", b'{"id": 1}', b"null", b'{"id": "a", "suite": "other"}', b"\xff"],
)
@pytest.mark.parametrize("compressed", [True, False])
def test_bytes_that_are_no_report_are_said_to_be_damaged(bytes_, compressed):
    with pytest.raises(Unreadable, match="damaged"):
        unpack(Record(bytes_, compressed))


def test_what_a_later_version_adds_is_passed_over():
    document = pack(Report("id", "latency", 1.0, 2.0, {})).document
    later = document.replace(b'{"id"', b'{"colour":"green","id"')
    assert unpack(Record(later, compressed=False)).id == "id"
