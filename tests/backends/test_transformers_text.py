"""Tokens as text: whole letters, and texts that end an answer, however they are cut."""

from hypothesis import given
from hypothesis import strategies as st

from orac_backends._transformers.text import Text


class Bytes:
    """A tokenizer whose tokens are bytes."""

    def decode(self, tokens, **_):
        return bytes(tokens).decode(errors="replace")


def told(text, stops=()):
    """Return the pieces that come of a text's bytes, the rest, and whether it was stopped."""
    made, pieces = Text(Bytes(), stops), []
    for byte in text.encode():
        pieces.append(made.add(byte))
        if made.stopped:
            break
    return pieces, made.rest(), made.stopped


@given(st.text())
def test_a_text_comes_out_as_it_went_in(text):
    pieces, rest, stopped = told(text)
    assert "".join(pieces) + rest == text
    assert not stopped


@given(st.text(), st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=3))
def test_it_ends_before_the_first_text_that_ends_it_and_never_tells_a_part_of_that(text, stops):
    pieces, rest, stopped = told(text, tuple(stops))
    whole = "".join(pieces) + rest
    assert text.startswith(whole)
    assert not any(stop in whole for stop in stops)
    assert stopped == any(stop in text for stop in stops)
    if not stopped:
        assert whole == text


def test_a_letter_is_held_back_until_it_is_whole():
    assert told("é")[0] == ["", "é"]


def test_what_can_not_begin_a_stop_text_is_told_at_once():
    assert told("abc", ("xyz",))[0] == ["a", "b", "c"]


def test_a_stop_text_that_was_cut_is_no_stop_text():
    assert told("ab", ("bc",)) == (["a", ""], "b", False)
