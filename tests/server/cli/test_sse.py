from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_server.cli import sse
from orac_server.cli.sse import Event, EventReader

STREAM = (
    b'event: chunk\ndata: {"text": "h\xc3\xa9"}\n\n: still here\n\nevent: done\r\ndata: 1\r\n\r\n'
)
EVENTS = [Event("chunk", '{"text": "hé"}'), Event("done", "1")]


def test_events_are_read():
    assert list(EventReader().feed(STREAM)) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_it_does_not_matter_how_the_stream_was_cut(cuts):
    reader = EventReader()
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]
    assert [event for piece in pieces for event in reader.feed(piece)] == EVENTS


def test_several_lines_of_data_are_one_text():
    assert list(EventReader().feed(b"data: a\ndata:b\n\n")) == [Event("message", "a\nb")]


def test_an_event_without_data_is_none_and_leaves_its_name_behind():
    assert list(EventReader().feed(b"event: chunk\n\ndata: a\n\n")) == [Event("message", "a")]


def test_an_event_that_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr(sse, "LIMIT_BYTES", 10)
    with pytest.raises(ValueError, match="more than 10 bytes"):
        list(EventReader().feed(b"data: " + b"x" * 10))
