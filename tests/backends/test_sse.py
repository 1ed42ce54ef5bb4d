"""Events come out whole, however the network cuts them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_backends._sse import Oversized, SseParser

line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
payloads = st.text(
    st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1, max_size=40
).map(str.encode)
noise = st.sampled_from([b": ping", b"event: chunk", b"id: 7", b"retry: 5", b"data", b":"])


@st.composite
def streams(draw):
    """A stream, and the data of the events in it."""
    written, expected = b"", []
    for _ in range(draw(st.integers(0, 8))):
        lines = draw(st.lists(payloads, max_size=3))
        for line in lines:
            space = draw(st.sampled_from([b"", b" "])) if not line.startswith(b" ") else b" "
            written += b"data:" + space + line + draw(line_ends)
            if draw(st.booleans()):
                written += draw(noise) + draw(line_ends)
        # A lone "\r" right before a "\n" would be one line end, not two.
        written += draw(line_ends if not written.endswith(b"\r") else st.just(b"\r\n"))
        if lines:
            expected.append(b"\n".join(lines))
    return written, expected


def cut(data, places):
    places = sorted({place % (len(data) + 1) for place in places})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@given(stream=streams(), places=st.lists(st.integers(0, 500), max_size=30))
def test_any_cut_gives_the_same_events(stream, places):
    data, expected = stream
    parser = SseParser()
    assert [event for read in cut(data, places) for event in parser.feed(read)] == expected


@given(stream=streams())
def test_single_bytes_give_the_same_events(stream):
    data, expected = stream
    parser = SseParser()
    assert [event for byte in data for event in parser.feed(bytes([byte]))] == expected


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_no_bytes_whatever_break_the_parser(reads):
    parser = SseParser(limit=10_000)
    for read in reads:
        assert all(isinstance(event, bytes) for event in parser.feed(read))


@pytest.mark.parametrize("endless", [b"data: " + b"x" * 200, b"data: x\n" * 60, b": " + b"-" * 200])
def test_an_event_without_end_is_refused(endless):
    parser = SseParser(limit=100)
    with pytest.raises(Oversized, match="100 bytes"):
        for start in range(0, len(endless), 16):
            parser.feed(endless[start : start + 16])


def test_many_short_events_are_no_long_one():
    assert len(SseParser(limit=100).feed(b"data: x\n\n" * 1000)) == 1000
