from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core import (
    BackendError,
    BackendUnavailable,
    DeadlineExceeded,
    InsufficientMemory,
    InvalidRequest,
    ModelFileInvalid,
    ModelNotFound,
    OracError,
    QueueFull,
    ShuttingDown,
    StateConflict,
)
from orac_core.errors import PromptTooLong
from orac_core.events import Events
from orac_core.serving.names import Attempt
from orac_core.serving.tries import Tries, passes_on, united

OWN, SECOND, THIRD = Attempt("a", "r"), Attempt("b", "r", True), Attempt("c", "r", True)  # noqa: FBT003 - as they are made
ERRORS = (
    BackendError("failed"),
    BackendUnavailable("gone"),
    InsufficientMemory("too large"),
    ModelNotFound("a"),
    ModelFileInvalid(Path("/models/a.gguf"), "is cut"),
    QueueFull("64 wait", 7),
    StateConflict("being examined", 3),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_what_a_model_can_not_do_another_may(error):
    assert passes_on(error, fallback=False)
    assert passes_on(error, fallback=True)


@pytest.mark.parametrize("error", [DeadlineExceeded("late"), ShuttingDown("stopping")])
def test_a_deadline_and_a_stop_hold_for_all(error):
    assert not passes_on(error, fallback=False)
    assert not passes_on(error, fallback=True)


@pytest.mark.parametrize("error", [InvalidRequest("nonsense"), PromptTooLong("too long")])
def test_a_request_is_wrong_when_the_first_says_so_and_only_too_much_for_a_fallback(error):
    assert not passes_on(error, fallback=False)
    assert passes_on(error, fallback=True)


def test_the_error_of_all_is_that_of_the_first_and_names_the_others():
    first = ModelFileInvalid(Path("/models/a.gguf"), "is cut")
    found = united([(OWN, first), (SECOND, QueueFull("64 wait", 7)), (THIRD, ERRORS[1])])
    assert type(found) is ModelFileInvalid
    assert (found.problem, found.retry_after_s) == ("is cut", 7)
    assert str(found) == "a.gguf: is cut (nor did a fallback answer: b: 64 wait; c: gone)"
    assert found.__cause__ is first
    assert str(first) == "a.gguf: is cut"


def test_of_a_single_one_the_error_is_its_own():
    error = BackendError("failed")
    assert united([(OWN, error)]) is error


def test_what_a_fallback_says_is_told_in_short():
    found = united([(OWN, BackendError("no")), (SECOND, BackendError("x" * 10_000))])
    assert len(str(found)) < 300


@given(st.lists(st.tuples(st.sampled_from(ERRORS), st.none() | st.floats(1, 60)), min_size=2))
def test_it_may_be_asked_again_when_the_first_of_them_may(found):
    failures = []
    for error, after_s in found:
        twin = OracError(str(error))
        twin.retry_after_s = after_s
        failures.append((OWN, twin))
    known = [after_s for _, after_s in found if after_s is not None]
    assert united(failures).retry_after_s == min(known, default=None)


def tried(tries, attempt, error):
    with tries.trying(attempt):
        raise error


def test_it_is_told_that_a_request_goes_on_and_why_but_no_word_of_it():
    events = Events()
    tries = Tries((OWN, SECOND), events)
    with events.inbox() as inbox:
        tried(tries, OWN, BackendUnavailable("the prompt was: secret"))
        tried(tries, SECOND, BackendError("failed"))
    (event,) = inbox._waiting
    assert (event.kind, dict(event.data)) == (
        "fallback",
        {"role": "r", "failed": "a", "next": "b", "error": "BackendUnavailable"},
    )


def test_after_the_first_piece_nothing_else_is_tried():
    tries = Tries((OWN, SECOND), Events(), settled=True)
    with pytest.raises(BackendError):
        tried(tries, OWN, BackendError("failed"))
