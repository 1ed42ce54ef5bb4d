"""How a function is called, where its answer ends, and what vectors are: the pure parts."""

import math
from functools import partial
from inspect import Parameter, Signature

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_backends.python.calling import KNOWN, OPTIONS, SOURCES, Calling
from orac_backends.python.cut import Cut
from orac_backends.python.vectors import vectors
from orac_core import (
    GenerateOptions,
    GenerateRequest,
    InvalidRequest,
    Message,
    Tool,
    Toolbox,
)

HELLO = GenerateRequest(
    "it",
    messages=(Message("system", "Be brief."), Message("user", "Hello")),
    options=GenerateOptions(temperature=0.5, max_tokens=7, stop=("END",)),
)


def given_to(function, request=HELLO):
    calling = Calling.of(function)
    calling.refuse(request)
    return calling.bound(request)()


def test_a_parameter_named_request_gets_the_request_itself():
    assert given_to(lambda request: request) is HELLO


def test_a_parameter_named_prompt_gets_what_is_said_as_one_text():
    assert given_to(lambda prompt: prompt) == "Be brief.\n\nHello"
    assert given_to(lambda prompt: prompt, GenerateRequest("it", prompt="On")) == "On"


def test_a_parameter_named_messages_gets_the_conversation():
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    assert given_to(lambda messages: messages) == said
    raw = GenerateRequest("it", prompt="On")
    assert given_to(lambda messages: messages, raw) == [{"role": "user", "content": "On"}]


def test_a_first_parameter_of_any_name_gets_the_text():
    assert given_to(lambda question: question) == "Be brief.\n\nHello"
    assert given_to(lambda question, /, temperature: (question, temperature))[1] == 0.5
    assert given_to(lambda *texts: texts) == ("Be brief.\n\nHello",)


def test_options_arrive_where_the_function_names_them_and_only_when_they_are_set():
    def function(prompt, temperature=1.0, top_k=40, *, stop=(), seed):
        return temperature, top_k, stop, seed

    assert given_to(function) == (0.5, 40, ["END"], None)


def test_a_function_with_room_for_all_gets_every_option_that_is_set():
    assert given_to(lambda prompt, **rest: rest) == {
        "temperature": 0.5,
        "max_tokens": 7,
        "stop": ["END"],
    }


def test_methods_and_callables_and_functions_that_tell_no_signature_are_called_too():
    class Model:
        def __call__(self, prompt):
            return prompt

    assert given_to(Model()) == "Be brief.\n\nHello"
    assert given_to(partial(lambda how, prompt: (how, prompt), "loud"))[0] == "loud"
    assert given_to(str) == "Be brief.\n\nHello"


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda: "", "takes no `prompt`"),
        (lambda *, temperature: "", "takes no `prompt`"),
        (lambda prompt, audio: "", "needs `audio`"),
        (lambda temperature, text: "", "needs `text`"),
    ],
)
def test_a_function_that_needs_what_no_request_has_is_refused(function, why):
    with pytest.raises(TypeError, match=why):
        Calling.of(function)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"toolbox": Toolbox((Tool("go"),))}, "knows no tools"),
        ({"format": "json"}, "knows no format"),
        ({"options": GenerateOptions(temperature=9)}, "temperature"),
        ({"messages": ()}, "either messages or a prompt"),
        ({"messages": (Message("user", ""),)}, "empty"),
    ],
)
def test_what_a_function_can_not_do_is_refused_and_never_passed_over(change, why):
    request = GenerateRequest("it", **{"messages": HELLO.messages, **change})
    with pytest.raises(InvalidRequest, match=why):
        Calling.of(lambda prompt: prompt).refuse(request)


def test_a_function_that_names_the_format_gets_it():
    request = GenerateRequest("it", prompt="Hello", format="json")

    def function(prompt, format):  # noqa: A002 - it is what a request calls it
        return format

    assert given_to(function, request) == "json"


PLACES = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


@st.composite
def parameters(draw, name):
    kind = draw(st.sampled_from(PLACES))
    shown = f"{name}_" if kind is Parameter.POSITIONAL_ONLY else name
    return Parameter(shown, kind, default=draw(st.sampled_from([None, Parameter.empty])))


@st.composite
def signatures(draw):
    names = draw(st.lists(st.sampled_from([*KNOWN, "text", "audio"]), unique=True, max_size=5))
    made = [draw(parameters(name)) for name in names]
    if draw(st.booleans()):
        made.append(Parameter("rest", Parameter.VAR_KEYWORD))
    if draw(st.booleans()):
        made.append(Parameter("texts", Parameter.VAR_POSITIONAL))
    kinds = [*PLACES[:2], Parameter.VAR_POSITIONAL, PLACES[2], Parameter.VAR_KEYWORD]
    made.sort(
        key=lambda it: (kinds.index(it.kind), it.kind in PLACES[:2] and it.default != it.empty)
    )
    by_place = [it for it in made if it.kind in PLACES[:2]]
    seen_default = False
    for number, it in enumerate(by_place):
        seen_default = seen_default or it.default is not it.empty
        if seen_default and it.default is it.empty:
            made[made.index(it)] = by_place[number] = it.replace(default=None)
    return Signature(made)


@given(signatures())
def test_whatever_its_signature_a_function_is_refused_or_called_with_what_it_takes(signature):
    class Function:
        __signature__ = signature

        def __call__(self, *args, **kwargs):
            return signature.bind(*args, **kwargs).arguments

    function = Function()
    try:
        calling = Calling.of(function)
    except TypeError:
        return
    found = calling.bound(HELLO)()
    flat = [*found.values(), *found.get("texts", ()), *found.get("rest", {}).values()]
    assert any(each is HELLO or "Hello" in str(each) for each in flat)
    for name in OPTIONS:
        if name in calling.names and getattr(HELLO.options, name):
            assert name in found
    assert calling.takes_turns == bool({"request", "messages"} & calling.names)


def test_every_name_that_is_known_is_a_field_of_a_request_or_an_option():
    assert set(SOURCES) & set(OPTIONS) == set()
    assert set(KNOWN) == {*SOURCES, "format", *OPTIONS}


def passed(cut, pieces):
    told = []
    for piece in pieces:
        told.append(cut.add(piece))
        if cut.over:
            break
    return "".join(told) + cut.rest()


def until_a_stop(text, stops):
    """Read letter by letter, as a person would who waits for the first of *stops* to be whole."""
    for end in range(1, len(text) + 1):
        whole = [len(it) for it in stops if text[:end].endswith(it)]
        if whole:
            return text[: end - max(whole)]
    return text


LETTERS = st.text("ab", max_size=12)


@given(
    st.lists(LETTERS, max_size=6),
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
)
def test_an_answer_ends_before_its_first_stop_text_however_it_is_cut_into_pieces(pieces, stops):
    cut = Cut(tuple(stops))
    text = "".join(pieces)
    assert passed(cut, pieces) == until_a_stop(text, stops)
    assert cut.reason == "stop"


@given(st.lists(st.text("xy", min_size=1, max_size=3), max_size=8), st.integers(1, 8))
def test_an_answer_is_cut_after_so_many_pieces_and_says_so(pieces, most):
    cut = Cut((), most)
    assert passed(cut, pieces) == "".join(pieces[:most])
    assert cut.reason == ("length" if len(pieces) >= most else "stop")


class Array:
    """What NumPy and its like have in common."""

    def __init__(self, rows):
        self.rows = rows

    def tolist(self):
        return self.rows


NUMBERS = st.floats(-1e6, 1e6).map(lambda it: round(it, 3))


@given(st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=1, max_size=4))
def test_vectors_have_length_one_whatever_they_are_made_of(rows):
    for answer in (rows, tuple(map(tuple, rows)), Array(rows), [Array(row) for row in rows]):
        found = vectors(answer, len(rows), None)
        for row, vector in zip(rows, found, strict=True):
            assert math.isclose(math.hypot(*vector), 1, rel_tol=1e-9) or math.hypot(*row) == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("text", TypeError),
        (3, TypeError),
        ([[1.0], [2.0]], ValueError),
        ([], ValueError),
        ([[]], ValueError),
        ([[math.nan]], ValueError),
        ([["one"]], ValueError),
    ],
)
def test_what_are_no_vectors_is_refused(answer, error):
    with pytest.raises(error):
        vectors(answer, 1, None)


def test_vectors_are_shortened_where_that_is_asked_for():
    assert vectors([[3.0, 4.0, 12.0]], 1, 2)[0] == pytest.approx((0.6, 0.8))
    with pytest.raises(InvalidRequest, match="3 dimensions, not 4"):
        vectors([[1.0, 2.0, 3.0]], 1, 4)
