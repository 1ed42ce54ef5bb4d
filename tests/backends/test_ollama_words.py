"""What Ollama says, and what the backend makes of it: errors, lists, lines of an answer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_backends._http import Reply
from orac_backends._ndjson import LineParser
from orac_backends._sse import Oversized
from orac_backends.ollama import replies
from orac_backends.ollama.answer import StreamedAnswer
from orac_backends.ollama.listing import Inventory, listed
from orac_backends.ollama.question import Loading
from orac_backends.ollama.refusals import line_error, refusal
from orac_backends.ollama.replies import Installed, Running, Shown
from orac_core import (
    BackendError,
    BackendUnavailable,
    Chunk,
    InsufficientMemory,
    InvalidRequest,
    ModelState,
    PromptTooLong,
    QueueFull,
)
from tests.ollama_fake.recorded import VERSIONS, case


def refused(status, error):
    body = error if isinstance(error, bytes) else json.dumps({"error": error}).encode()
    return refusal(Reply(status, body, "Ollama"))


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (404, "model 'nope' not found", BackendUnavailable),
        (400, "unexpected EOF", InvalidRequest),
        (500, 'option "num_predict" must be of type integer', InvalidRequest),
        (
            500,
            'invalid format: "xml"; expected "json" or a valid JSON Schema object',
            InvalidRequest,
        ),
        (400, '"tiny" does not support thinking', InvalidRequest),
        (500, "the input length exceeds the context length", PromptTooLong),
        (503, "server busy, please try again.  maximum pending requests exceeded", QueueFull),
        (499, "request canceled", BackendUnavailable),
        (500, "unable to load model: /store/blobs/sha256-1", BackendError),
        (500, "an error was encountered while running the model: EOF", BackendUnavailable),
        (500, "llama-server process has terminated: signal: killed", InsufficientMemory),
        (500, "cudaMalloc failed: out of memory", InsufficientMemory),
        (500, "llama-server process has terminated: exit status 1", BackendUnavailable),
        (501, "This server does not support embeddings.", InvalidRequest),
        (401, "unauthorized", BackendError),
    ],
)
def test_status_and_text_together_say_what_an_error_is(status, text, kind):
    error = refused(status, text)
    assert type(error) is kind
    assert text in str(error)


def test_the_memory_that_lacks_is_read_from_the_text():
    text = "model requires more system memory (47.7 GiB) than is available (23.0 GiB)"
    error = refused(500, text)
    assert error.needed_bytes == int(47.7 * (1 << 30))
    assert error.available_bytes == 23 << 30


def test_an_error_wrapped_in_an_error_is_unwrapped():
    inner = {
        "error": {
            "code": 400,
            "message": "request (1227 tokens) exceeds the available context size",
        }
    }
    error = refused(400, json.dumps(inner))
    assert type(error) is PromptTooLong
    assert str(error) == "Ollama: request (1227 tokens) exceeds the available context size"


def test_an_empty_403_says_what_to_do_about_the_host_name():
    error = refused(403, b"")
    assert "OLLAMA_HOST=0.0.0.0" in str(error)


def test_a_redirect_is_never_followed_and_told():
    assert "a redirect, which ORAC never follows" in str(refused(307, b""))


def test_a_web_page_in_place_of_an_answer_is_told_as_one():
    assert "web page" in str(refused(502, b"<html>Bad gateway</html>"))


def test_the_status_inside_a_line_counts():
    assert type(line_error("Ollama", {"error": "no", "status": 400})) is InvalidRequest
    assert type(line_error("Ollama", {"error": "no"})) is BackendError
    assert line_error("Ollama", {"response": "no"}) is None


@given(st.integers(100, 599), st.one_of(st.binary(max_size=60), st.text(max_size=60)))
def test_any_refusal_becomes_an_error_with_a_text(status, text):
    assert str(refused(status, text))


@given(st.lists(st.integers(0, 99).map(lambda n: json.dumps({"n": n}).encode())), st.data())
def test_lines_are_the_same_however_the_network_cuts_them(lines, data):
    whole, parser, found = b"".join(line + b"\n" for line in lines), LineParser(), []
    while whole:
        cut = data.draw(st.integers(1, len(whole)))
        found += parser.feed(whole[:cut])
        whole = whole[cut:]
    assert found + parser.end() == lines


def test_a_last_line_without_an_end_is_a_line():
    parser = LineParser()
    assert parser.feed(b'{"a":1}\n{"b":') == [b'{"a":1}']
    parser.feed(b"2}")
    assert parser.end() == [b'{"b":2}']


def test_a_line_without_end_is_not_kept_for_ever():
    with pytest.raises(Oversized):
        LineParser(limit=10).feed(b"x" * 11)


def piece(text, **more):
    return {"message": {"role": "assistant", "content": text}, "done": False} | more


LAST = {
    "message": {"role": "assistant", "content": ""},
    "done": True,
    "done_reason": "stop",
    "total_duration": 5_000_000_000,
    "prompt_eval_count": 10,
    "prompt_eval_duration": 500_000_000,
    "eval_count": 8,
    "eval_duration": 2_000_000_000,
}


def test_an_answer_is_its_pieces_and_the_counts_of_its_last_line():
    answer = StreamedAnswer("Ollama")
    assert answer.take([piece("a"), piece("b"), LAST, piece("late")]) == Chunk("ab")
    chunk = answer.last_chunk()
    assert (chunk.finish_reason, chunk.usage.prompt_tokens, chunk.usage.completion_tokens) == (
        "stop",
        10,
        8,
    )
    assert chunk.rates.prefill_tokens_per_second == 20
    assert chunk.rates.decode_tokens_per_second == 4


def test_counts_that_are_absent_are_not_known():
    answer = StreamedAnswer("Ollama")
    answer.take([{"response": "", "done": True, "done_reason": "length"}])
    chunk = answer.last_chunk()
    assert chunk.finish_reason == "length"
    assert chunk.usage.prompt_tokens is None
    assert chunk.rates.decode_tokens_per_second is None


def test_thoughts_are_no_part_of_the_answer():
    answer = StreamedAnswer("Ollama")
    assert answer.take([{"message": {"content": "", "thinking": "hm"}}, piece("yes")]) == Chunk(
        "yes"
    )


@pytest.mark.parametrize(
    "lines", [[], [piece("a")], [LAST | {"done_reason": ""}], [LAST | {"done": "true"}]]
)
def test_an_answer_without_an_end_that_says_why_is_an_error(lines):
    answer = StreamedAnswer("Ollama")
    answer.take(lines)
    with pytest.raises(BackendError, match="broke its answer off"):
        answer.last_chunk()


def test_an_entry_of_an_old_server_leaves_unknown_what_it_leaves_out():
    told = {
        "name": "a:latest",
        "digest": "d",
        "size": 5,
        "details": {"quantization_level": "unknown"},
    }
    found = replies.installed(told)
    assert found.quantization is None
    assert found.capabilities is None
    assert found.context_length is None


@pytest.mark.parametrize(
    ("text", "number"),
    [("125K", 125_000), ("8.0B", 8_000_000_000), ("7", 7), ("", None), ("x", None)],
)
def test_a_rounded_number_of_weights_is_a_number(text, number):
    details = {"parameter_size": text}
    assert replies.installed({"name": "a", "digest": "d", "details": details}).parameters == number


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("2026-11-21T02:01:03.109880721Z", True),
        ("2319-03-03T02:01:03.1Z", False),
        ("0001-01-01T00:00:00Z", False),
        ("nonsense", False),
    ],
)
def test_never_is_no_time(text, known):
    found = replies.running({"name": "a", "digest": "d", "expires_at": text})
    assert (found.expires_at is not None) is known


TINY = Installed("tiny:latest", "d1", 500, capabilities=("completion",), context_length=8192)
ALIAS = Installed("tiny-alias:latest", "d1", 500, capabilities=("completion",))


def state_of(infos, id_):
    return next(info for info in infos if info.id == id_)


def test_names_with_one_digest_share_a_runner():
    found = Inventory([TINY, ALIAS], [Running("tiny:latest", "d1", 700, 0, None, 4096)])
    infos = listed(found, {}, expect_gpu=False)
    assert [info.state for info in infos] == [ModelState.READY, ModelState.READY]
    assert infos[0].loaded.context_length == 4096
    assert infos[0].loaded.memory_bytes == 700


def test_installed_is_not_loaded():
    info = listed(Inventory([TINY], []), {}, expect_gpu=True)[0]
    assert (info.state, info.loaded, info.names) == (ModelState.STOPPED, None, ("tiny",))
    assert info.capabilities == ("completion", "chat")


def test_a_model_that_is_partly_on_the_cpu_is_warned_about_where_there_is_a_gpu():
    found = Inventory([TINY], [Running("tiny:latest", "d1", 1000, 250, None, 4096)])
    info = listed(found, {}, expect_gpu=True)[0]
    assert info.loaded.on_gpu_ratio == 0.25
    assert "25%" in info.warning
    assert listed(found, {}, expect_gpu=False)[0].warning is None


def test_what_an_old_server_leaves_out_of_its_list_is_asked_for():
    old = Installed("old:latest", "d2")
    found = Inventory([old], [], shown={"d2": Shown(("completion", "vision"), 2048)})
    info = listed(found, {}, expect_gpu=False)[0]
    assert info.context_length == 2048
    assert "vision" in info.capabilities


def test_layers_on_the_gpu_are_those_that_were_asked_for():
    found = Inventory([TINY], [Running("tiny:latest", "d1", 1000, 250, None)])
    loadings = {"tiny:latest": Loading("tiny:latest", 1024, 12)}
    info = listed(found, loadings, expect_gpu=False)[0]
    assert (info.loaded.gpu_layers, info.loaded.context_length) == (12, 1024)


def with_facts(told, **facts):
    return replies.shown(told | {"model_info": told["model_info"] | facts})


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_models_memory_is_made_of_is_told_when_it_is_shown(version):
    shown = replies.shown(case(version, "082-show").last)

    shape = shown.shape(1000)

    assert [block.weights_bytes for block in shape.blocks] == [500, 500]
    assert {(block.key_width, block.value_width) for block in shape.blocks} == {(32, 32)}
    assert (shape.context_length, shape.embedding_width, shape.vocabulary_size) == (8192, 64, 397)
    assert shape.weights_bytes == 1000


@pytest.mark.parametrize(
    "lacking", [{"llama.block_count": 0}, {"llama.attention.head_count_kv": None}]
)
def test_of_a_model_that_is_not_wholly_described_nothing_is_made_up(lacking):
    told = case(VERSIONS[0], "082-show").last

    assert with_facts(told, **lacking).shape(1000) is None
    assert replies.shown({}).shape(1000) is None
    assert replies.shown(told).shape(None) is None


def test_numbers_for_each_layer_and_lists_of_booleans_are_read_where_they_are_told():
    more = {
        "llama.attention.head_count_kv": [2, 1],
        "llama.attention.sliding_window": 16,
        "llama.attention.sliding_window_pattern": [True, False],
    }

    shape = with_facts(case(VERSIONS[0], "082-show").last, **more).shape(1000)

    assert [block.key_width for block in shape.blocks] == [32, 16]
    assert [block.window for block in shape.blocks] == [16, 0]
