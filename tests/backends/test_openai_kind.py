"""The kind ``openai``, without a server: addresses, keys, lists, questions, refusals, vectors."""

import base64
import math
import struct
from itertools import product

import pytest
from attrs import asdict
from hypothesis import given
from hypothesis import strategies as st

from orac_backends._http import Reply
from orac_backends.openai import OpenAISettings
from orac_backends.openai.address import address
from orac_backends.openai.dialect import DIALECTS
from orac_backends.openai.key import Key
from orac_backends.openai.listing import Listing, Wishes, listing, offered
from orac_backends.openai.question import keeps_rules, learned, question
from orac_backends.openai.refusals import ServerRefusals, retry_after_s
from orac_backends.openai.vectors import vectors
from orac_core import (
    BackendError,
    BackendUnavailable,
    GenerateOptions,
    GenerateRequest,
    InvalidRequest,
    Message,
    ModelState,
    OracError,
    PromptTooLong,
    QueueFull,
)
from orac_core.manifest.structure import structure

ASKED = (Message("user", "hello"),)
ALL = GenerateOptions(
    temperature=0.5, top_p=0.9, top_k=3, min_p=0.1, seed=1, max_tokens=9, repeat_penalty=1.1
)
KEYS = (
    *("id", "meta", "status", "state", "owned_by", "capabilities", "size_bytes"),
    *("max_model_len", "n_ctx_train", "failed", "state_reason"),
)
CLOSED = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/v1"),
        ("http://robot.lan/v1/", "http://robot.lan/v1"),
        ("https://api.example.com/openai/v1", "https://api.example.com/openai/v1"),
        ("http://[::1]:1234/v1", "http://[::1]:1234/v1"),
    ],
)
def test_an_address_is_what_clients_call_the_base_url(url, meant):
    assert address(url).url == meant


def test_an_address_says_whether_it_is_this_machine():
    near = ("http://localhost:1", "http://127.0.0.9", "http://[::1]:1234")
    assert all(address(each).on_this_machine for each in near)
    assert not any(address(f"http://{it}").on_this_machine for it in ("192.168.1.2", "a.lan"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8080",
        "ftp://host",
        "http://",
        "http://host:99999",
        "http://[::1",
        "http://a b/v1",
        "http://user:secretword@host/v1",
        "http://host/v1?key=secretword",
        "http://host/v1#secretword",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(url):
    with pytest.raises(ValueError, match="'url'") as found:
        OpenAISettings(url)
    assert "secretword" not in str(found.value)


@pytest.mark.parametrize("name", ["key", "api_key"])
def test_a_key_in_the_manifest_is_refused_with_what_to_do(name):
    with pytest.raises(OracError, match="key_file") as found:
        table = {"url": "http://host", name: "sk-secretword"}
        structure(table, OpenAISettings, "manifest", "backends.hosted")
    assert "secretword" not in str(found.value)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"key_env": "sk-secretword"}, "name of an environment variable"),
        ({"key_env": "A", "key_file": "b"}, "either"),
        ({"list_models": False}, "'models' must say"),
        ({"dialect": "french"}, "'dialect' must be one of openai, orac"),
        ({"proxy": "http://me:secretword@proxy"}, "'proxy' must hold no name"),
        ({"idle_timeout_s": 0.0}, "idle_timeout_s"),
    ],
)
def test_a_mistake_in_the_settings_is_told(more, told):
    with pytest.raises(OracError, match=told) as found:
        structure({"url": "http://host", **more}, OpenAISettings, "manifest")
    assert "secretword" not in str(found.value)


def test_a_key_is_read_from_a_variable_or_a_file_and_never_shown(tmp_path):
    (tmp_path / "key").write_text("sk-secretword\n")
    for key in (
        Key.read("A", None, {"A": " sk-secretword "}),
        Key.read(None, tmp_path / "key", {}),
    ):
        assert key.headers == {"authorization": "Bearer sk-secretword"}
        assert "secretword" not in repr(key)
    assert Key.read(None, None, {}).headers == {}


@pytest.mark.parametrize("content", [b"", b" \n", b"two\nlines", b"\xff\xfe", b"k" * 9000])
def test_what_is_no_key_is_refused_without_repeating_it(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(BackendError, match="key"):
        Key.read(None, tmp_path / "key", {})
    with pytest.raises(BackendError, match="`key_env`"):
        Key.read("A", None, {"A": content.decode(errors="replace")})


def test_a_key_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BackendError, match="none can not be read"):
        Key.read(None, tmp_path / "none", {})


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_key_stands_in_no_error_and_none_of_its_causes(before, after):
    key = Key("sk-secretword")
    text = f"{before}sk-secretword{after}"
    with pytest.raises(InvalidRequest) as found, key.kept():
        try:
            raise ValueError(text)  # noqa: TRY301
        except ValueError as error:
            raise InvalidRequest(text) from error
    assert "secretword" not in f"{found.value!r} {found.value.__cause__!r}"


def test_a_list_is_read_as_far_as_it_makes_sense():
    odd = [{"id": "a"}, {"id": 5}, {"id": ""}, {"id": "b\nc"}, {"id": "x" * 999}, 7, {}]
    found = listing({"data": odd})
    assert list(found.entries) == ["a"]
    (info,) = offered(found, Wishes(), "a server")
    assert (info.state, info.capabilities) == (ModelState.READY, ("completion", "chat"))
    assert info.remote


@pytest.mark.parametrize("told", [None, [], {}, {"data": None}, {"data": 5}, "x"])
def test_what_is_no_list_is_an_error(told):
    with pytest.raises((TypeError, LookupError)):
        listing(told)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(KEYS),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    )
)
def test_whatever_an_entry_holds_the_list_is_one_of_models(entry):
    found = listing({"data": [entry, {"id": "good"}]})
    assert "good" in {it.id for it in offered(found, Wishes(), "a server")}


def test_what_servers_tell_beside_the_id_is_taken():
    (vllm,) = listing(
        {"data": [{"id": "a", "owned_by": "vllm", "max_model_len": 7}]}
    ).entries.values()
    assert vllm.context_length == 7
    meta = {"n_ctx_train": 9, "n_params": 5, "size": 11}
    llama = listing({"data": [{"id": "a", "owned_by": "llamacpp", "meta": meta}]})
    (info,) = offered(llama, Wishes(), "a server")
    assert (info.context_length, info.parameters, info.size_bytes) == (9, 5, 11)
    assert llama.dialect == "llama.cpp"
    failed = {"id": "a", "instance": "i", "kind": "k", "state": "failed", "state_reason": "cut"}
    orac = listing({"data": [failed]})
    (info,) = offered(orac, Wishes(), "a server")
    assert (info.state, info.state_reason) == (ModelState.FAILED, "cut")
    assert orac.dialect == "orac"


def test_models_that_are_named_are_offered_under_those_names():
    wishes = Wishes({"big": "vendor/big", "lost": "none"}, frozenset({"big"}), 4096)
    big, lost = offered(listing({"data": [{"id": "vendor/big"}]}), wishes, "a server")
    assert (big.id, big.context_length, big.capabilities) == ("big", 4096, ("embedding",))
    assert lost.state is ModelState.FAILED
    assert "does not list 'none'" in lost.state_reason
    assert all(it.state is ModelState.READY for it in offered(Listing(), wishes, "a server"))


def test_options_go_only_to_servers_that_know_them():
    def sent(dialect):
        request = GenerateRequest("m", ASKED, options=ALL)
        return question(request, "there", DIALECTS[dialect])[1]

    assert not {"top_k", "min_p", "repeat_penalty", "orac"} & sent("openai").keys()
    assert sent("llama.cpp")["repeat_penalty"] == 1.1
    assert sent("vllm")["repetition_penalty"] == 1.1
    wished = {"top_k": 3, "min_p": 0.1, "repeat_penalty": 1.1}
    assert sent("orac")["orac"] == {"options": wished}


def test_an_answer_without_a_limit_has_that_of_the_server():
    body = question(GenerateRequest("m", ASKED), "there", DIALECTS["openai"])[1]
    assert body == {
        "model": "there",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": "hello"}],
    }


def test_a_limit_is_no_longer_than_the_context():
    request = GenerateRequest("m", ASKED, options=GenerateOptions(max_tokens=9999))
    assert question(request, "there", DIALECTS["openai"], (), 512)[1]["max_tokens"] == 512


@pytest.mark.parametrize(
    ("why", "quirk"),
    [
        ("'max_tokens' is not supported, use 'max_completion_tokens'", "max_completion_tokens"),
        ("stream_options: extra fields not permitted", "no_stream_options"),
        ("'response_format.type' must be 'json_schema' or 'text'", "no_json_object"),
        ("temperature must be at most 1", None),
    ],
)
def test_a_refusal_teaches_what_a_server_wants_otherwise_once(why, quirk):
    options = GenerateOptions(max_tokens=9)
    request = GenerateRequest("m", ASKED, format="json", options=options)
    body = question(request, "there", DIALECTS["openai"])[1]
    assert learned(why, body) == quirk
    again = question(request, "there", DIALECTS["openai"], {quirk})[1]
    assert learned(why, again) is None


def test_every_mix_of_quirks_makes_a_request():
    names = ("max_completion_tokens", "no_stream_options", "no_json_object")
    for chosen in product((False, True), repeat=3):
        quirks = {name for name, on in zip(names, chosen, strict=True) if on}
        request = GenerateRequest("m", ASKED, format="json", options=ALL)
        body = question(request, "there", DIALECTS["openai"], quirks)[1]
        assert ("max_tokens" in body) != ("max_completion_tokens" in body)
        assert ("stream_options" in body) != ("no_stream_options" in quirks)


def test_only_schemas_that_keep_its_rules_are_asked_for_strictly():
    loose = {"type": "object", "properties": {"a": {}}}
    assert keeps_rules(CLOSED)
    assert keeps_rules({"type": "array", "items": CLOSED})
    for schema in (
        loose,
        {"anyOf": [CLOSED, loose]},
        {**CLOSED, "required": []},
        {"type": "object"},
    ):
        assert not keeps_rules(schema)
    for schema in (CLOSED, loose):
        body = question(GenerateRequest("m", ASKED, format=schema), "m", DIALECTS["openai"])[1]
        assert body["response_format"]["json_schema"]["strict"] == (schema is CLOSED)


def test_a_raw_text_is_held_to_a_format_only_where_the_server_can():
    request = GenerateRequest("m", prompt="a", format=CLOSED)
    assert "json_schema" in question(request, "m", DIALECTS["llama.cpp"])[1]
    assert "response_format" in question(request, "m", DIALECTS["vllm"])[1]
    with pytest.raises(InvalidRequest, match="messages"):
        question(request, "m", DIALECTS["openai"])


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (302, "moved", BackendError),
        (400, "wrong", InvalidRequest),
        (400, "This model's maximum context length is 9 tokens", PromptTooLong),
        (401, "no key", BackendError),
        (402, "pay", BackendError),
        (403, "not yours", BackendError),
        (404, "no such model", BackendUnavailable),
        (405, "no", BackendError),
        (408, "late", BackendUnavailable),
        (413, "large", InvalidRequest),
        (429, "slow down", QueueFull),
        (429, "You exceeded your current quota, check your plan and billing", BackendError),
        (500, "oops", BackendError),
        (502, "<html>", BackendUnavailable),
        (503, "busy", BackendUnavailable),
        (504, "late", BackendUnavailable),
    ],
)
def test_each_status_means_what_it_should(status, text, error):
    reply = Reply(status, b'{"error": {"message": "%s"}}' % text.encode(), "a server")
    found = ServerRefusals("a server").of_reply(reply)
    assert type(found) is error
    assert str(found).startswith("a server")


def test_a_server_says_when_to_ask_again():
    reply = Reply(429, b"", "a server", {"retry-after": "7"})
    assert ServerRefusals("a server").of_reply(reply).retry_after_s == 7.0
    assert ServerRefusals("a server").of_reply(Reply(429, b"", "a server")).retry_after_s == 2.0


@given(st.text(max_size=30) | st.floats().map(str) | st.integers().map(str))
def test_whatever_it_says_it_is_a_sensible_time_or_none(told):
    found = retry_after_s({"retry-after": told})
    assert found is None or 0 < found <= 3600


def test_a_date_in_the_past_is_no_time_to_wait_for():
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) is None


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"code": "rate_limit_exceeded", "message": "m"}, QueueFull),
        ({"code": None, "type": "overloaded_error", "message": "m"}, BackendUnavailable),
        ({"code": "context_length_exceeded", "message": "maximum context length"}, PromptTooLong),
        ({"code": "503", "message": "m"}, BackendUnavailable),
        ({"code": 401, "message": "m"}, BackendError),
        ("m", BackendError),
    ],
)
def test_an_error_in_mid_stream_means_what_it_should(told, error):
    assert type(ServerRefusals("a server").of_frame(told)) is error


def vector(index, numbers):
    return {"index": index, "embedding": numbers}


def test_vectors_are_put_in_order_and_have_the_length_one():
    packed = base64.b64encode(struct.pack("<2f", 0.0, -2.0)).decode()
    told = {"data": [vector(1, packed), vector(0, [3, 4])], "usage": {"prompt_tokens": 5}}
    found = vectors(told, 2, None)
    assert found.vectors == ((0.6, 0.8), (0.0, -1.0))
    assert found.usage.prompt_tokens == 5


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8), st.integers(1, 8))
def test_any_vector_can_be_cut(numbers, dimensions):
    if dimensions > len(numbers):
        with pytest.raises(InvalidRequest, match="dimensions"):
            vectors({"data": [vector(0, numbers)]}, 1, dimensions)
        return
    (found,) = vectors({"data": [vector(0, numbers)]}, 1, dimensions).vectors
    assert len(found) == dimensions
    assert math.hypot(*found) == pytest.approx(1.0, abs=2e-3) or not any(found)


@pytest.mark.parametrize(
    "data",
    [
        [],
        [vector(1, [1.0])],
        [vector(0, [1.0]), vector(0, [1.0])],
        [vector(0, [])],
        [vector(0, "&&&")],
        [vector(0, ["x"])],
        [vector(0, [float("nan")])],
        [{}],
    ],
)
def test_what_are_no_vectors_is_an_error(data):
    with pytest.raises((TypeError, ValueError, LookupError)):
        vectors({"data": data}, 1, None)


def test_no_setting_shows_the_key():
    settings = OpenAISettings("https://host", key_env="HF_SECRETWORD")
    assert "SECRETWORD" not in repr(settings)
    assert asdict(settings)["key"] is None
