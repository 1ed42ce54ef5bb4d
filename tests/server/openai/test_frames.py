"""Frames: whatever an engine writes, in whatever pieces, arrives as it was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core import Answer, Chunk, Token, Usage
from orac_server.openai import frames
from tests.server.openai.asking import choices, content
from tests.server.serving import frames as parsed

ENDED = Answer("", "small", "fake", "stop", 1.0, 0.0, 0.0, 0.5, Usage(1, 2))

NAMES = st.text(min_size=1)
PIECES = st.lists(
    st.builds(
        lambda text, telling: Chunk(text, tokens=(Token(text, -1.0),) if telling else ()),
        st.text() | st.sampled_from(["\0", '"\\u0000"', "\n\n", "data: [DONE]", "\u2028", "é"]),
        st.booleans(),
    )
)


def text(told):
    """The text of a completion that *told* makes together."""
    return "".join(choice["text"] for choice in choices(told))


CHAT = pytest.param(frames.chat_frames, content, id="chat")
TEXT = pytest.param(frames.text_frames, text, id="text")


@pytest.mark.parametrize(("made", "joined"), [CHAT, TEXT])
@given(model=NAMES, pieces=PIECES, with_usage=st.booleans())
def test_frames_join_to_the_text_that_was_written(made, joined, model, pieces, with_usage):
    framing = made(model, with_usage=with_usage)
    raw = b"".join(map(framing.framed, [*pieces, ENDED]))
    assert joined(parsed(raw)) == "".join(piece.text for piece in pieces)
    *told, done = parsed(raw)
    assert done == "[DONE]"
    assert {frame["model"] for frame in told} == {model}
    assert [frame["choices"] for frame in told].count([]) == with_usage


def test_text_that_is_no_unicode_is_told_all_the_same():
    framing = frames.chat_frames("small", with_usage=False)
    assert content(parsed(framing.framed(Chunk("a\ud800b")))) == "a?b"


def test_each_answer_has_an_id_of_its_own():
    made = [frames.chat_frames("small", with_usage=False) for _ in range(100)]
    assert len({each.heading.id for each in made}) == 100
