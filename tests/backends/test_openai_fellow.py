"""What another ORAC tells of its models, without one: read, bounded, made printable."""

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from orac_backends._http import Reply
from orac_backends.openai import fellow
from orac_backends.openai.listing import Wishes, listing, offered
from orac_backends.openai.refusals import ServerRefusals
from orac_core import (
    BackendError,
    BackendUnavailable,
    InsufficientMemory,
    LoadRequest,
    ModelNotFound,
    ModelState,
    QueueFull,
    StateConflict,
)
from tests.backends.driving import load
from tests.backends.driving import told as listed_as
from tests.backends.openai_server import Scripted, opened, refused

BASE = {"id": "m", "instance": "local", "kind": "llamacpp", "state": "stopped"}
WHOLE = {
    **BASE,
    "state": "ready",
    "state_reason": None,
    "context_length": 4096,
    "memory": {"estimated_bytes": 5, "measured_bytes": 7, "on_gpu_ratio": 0.5},
    "parallel": 6,
    "requests": {"active": 2, "waiting": 1, "at_once": 8},
    "expires_at": "2026-01-31T12:05:24.305Z",
    "warning": "half of it\nis on the CPU",
    "file": {"path": "/etc/passwd", "sha256": "ab" * 32, "problem": None},
}
KEYS = (*WHOLE, "measured_bytes", "on_gpu_ratio", "active", "waiting", "sha256")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("ready"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=15,
)


def offers(*entries):
    return offered(listing({"data": list(entries)}), Wishes(), "a box")


def test_all_that_an_orac_tells_of_a_model_is_taken_but_no_path():
    (info,) = offers(WHOLE)
    assert (info.id, info.state, info.relayed, info.remote) == ("m", ModelState.READY, True, True)
    assert (info.loaded.memory_bytes, info.loaded.on_gpu_ratio) == (7, 0.5)
    assert info.loaded.parallel == 6
    assert (info.others, info.digest, info.file) == (3, "ab" * 32, None)
    assert info.warning == "half of it is on the CPU"
    assert info.expires_at == pytest.approx(1769861124.305)


@pytest.mark.parametrize("state", ModelState)
def test_the_state_of_a_model_is_the_one_it_has_there(state):
    (info,) = offers({**WHOLE, "state": state.value, "state_reason": "because"})
    assert (info.state, info.state_reason) == (state, "because")
    assert (info.loaded is not None) is (state is ModelState.READY)


@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING))
def test_whatever_an_orac_tells_the_list_is_one_of_models_with_texts_to_be_shown(more):
    found = offers({**BASE, **more, "id": "m", "instance": "i", "kind": "k", "state": "ready"})
    (info,) = found
    for text in (info.state_reason, info.warning, info.digest):
        assert text is None or (text.isprintable() and len(text) <= fellow.LONGEST)
    assert info.others is None or info.others >= 0
    assert info.loaded.memory_bytes is None or info.loaded.memory_bytes > 0


@given(ANYTHING)
def test_whatever_a_load_tells_is_progress(told):
    progress = fellow.progress(told if isinstance(told, dict) else {"stage": told})
    assert progress.message.isprintable()
    assert progress.total is None or 0 <= progress.completed <= progress.total


def test_models_of_one_name_are_told_apart_and_asked_for_by_their_instance():
    found = listing({"data": [BASE, {**BASE, "instance": "ollama"}, {**BASE, "instance": None}]})
    assert {name: it.id for name, it in found.entries.items()} == {
        "m": "local/m",
        "ollama/m": "ollama/m",
    }
    assert found.find("local/m") is found.find("m")


def test_a_server_that_is_said_to_be_no_orac_is_taken_for_none():
    found = listing({"data": [WHOLE]}, "openai")
    (info,) = offered(found, Wishes(), "a server")
    assert (info.relayed, info.others, found.dialect) == (False, None, "openai")


def test_requests_of_ones_own_are_none_of_others():
    found = listing({"data": [WHOLE]})
    assert [
        offered(found.without({"local/m": own}), Wishes(), "")[0].others for own in (0, 2, 9)
    ] == [
        *(3, 1, 0),
    ]


def test_what_a_load_asks_for_is_handed_on():
    request = LoadRequest("m", 64, 0, 2, keep_alive_s=5.0, force=True, pinned=True)
    options = {"context_length": 64, "gpu_layers": 0, "parallel": 2, "force": True}
    assert fellow.body(request, "local/m") == {"model": "local/m", "stream": True, **options}
    assert fellow.body(LoadRequest("m"), "m") == {"model": "m", "stream": True}


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (409, "state_conflict", StateConflict),
        (422, "model_file_invalid", BackendError),
        (429, "queue_full", QueueFull),
        (503, "insufficient_memory", InsufficientMemory),
        (503, "backend_unavailable", BackendUnavailable),
        (503, "shutting_down", BackendUnavailable),
    ],
)
def test_an_error_of_an_orac_is_the_same_here_in_a_reply_and_in_a_stream(status, code, expected):
    error = {"message": "why", "type": "x", "param": None, "code": code}
    body = b'{"error": {"message": "why", "code": "%b"}}' % code.encode()
    refusals = ServerRefusals("a box")
    for found in (refusals.of_reply(Reply(status, body, "a box")), refusals.of_frame(error)):
        assert type(found) is expected
        assert "a box: why" in str(found)
    assert isinstance(fellow.refusal({"code": "model_not_found"}, "why", "m"), ModelNotFound)
    assert str(fellow.refusal({"code": "host_not_allowed"}, "add the name")) == "add the name"


NUMBERS = ("needed_bytes", "available_bytes", "retry_after_s")
CODES = st.sampled_from(["insufficient_memory", "state_conflict", "queue_full", "other"])


def test_the_numbers_of_an_error_come_along():
    full = {"code": "insufficient_memory", "message": "why", "needed_bytes": 9 << 30}
    for more, available_bytes in (({"available_bytes": 5 << 30}, 5 << 30), ({}, None)):
        found = ServerRefusals("a box").of_frame(full | more)
        assert isinstance(found, InsufficientMemory)
        assert (found.needed_bytes, found.available_bytes) == (9 << 30, available_bytes)
    for code in ("state_conflict", "queue_full", "shutting_down"):
        told = {"code": code, "message": "why", "retry_after_s": 7}
        assert ServerRefusals("a box").of_frame(told).retry_after_s == 7.0


@given(CODES, st.dictionaries(st.sampled_from(NUMBERS), ANYTHING | st.just(10**400)))
def test_whatever_numbers_an_error_has_here_they_are_sensible_or_none(code, more):
    error = ServerRefusals("a box").of_frame({"code": code, "message": "why", **more})
    assert error.retry_after_s is None or 0 < error.retry_after_s <= 3600
    for name in ("needed_bytes", "available_bytes"):
        number = getattr(error, name, None)
        assert number is None or (type(number) is int and 0 <= number < 1 << 61)


async def test_a_load_that_is_refused_says_when_to_ask_again():
    async def busy(request):
        if request.path.endswith("/models"):
            return web.json_response({"data": [WHOLE | {"state": "stopped"}]})
        told = {"message": "examined", "code": "state_conflict"}
        return web.json_response({"error": told}, status=409, headers={"Retry-After": "30"})

    async with Scripted(always=busy).serving() as server, opened(server.url) as backend:
        with pytest.raises(StateConflict) as found:
            await load(backend, "m")
    assert found.value.retry_after_s == 30.0


def box(loading=b""):
    """Return a server that lists one model, and answers a load with *loading*."""

    async def answer(request):
        if request.path.endswith("/models"):
            return web.json_response({"data": [WHOLE | {"state": "stopped"}]})
        if request.path.endswith("/load"):
            return web.Response(body=loading, content_type="text/event-stream")
        return refused(404, "nothing here")

    return Scripted(always=answer)


async def test_every_request_tells_that_an_orac_asks_and_only_loads_have_the_administrators_key():
    settings = {"key_env": "HOSTED", "admin_key_env": "HOSTED_ADMIN"}
    environ = {"HOSTED": "sk-user-0123", "HOSTED_ADMIN": "sk-admin-0123"}
    async with (
        box(b'data: {"state": "ready"}\n\n').serving() as server,
        opened(server.url, environ=environ, **settings) as backend,
    ):
        await load(backend, "m")
    keys = {each.path.rpartition("/v1/")[2]: each.headers for each in server.seen}
    assert all(each.headers["x-orac-relayed"] for each in server.seen)
    assert keys["models"]["authorization"] == "Bearer sk-user-0123"
    assert keys["models/load"]["authorization"] == "Bearer sk-admin-0123"


@pytest.mark.parametrize(
    ("loading", "why"),
    [
        (b"", "broke off"),
        (b'data: {"stage": "read"}\n\n', "broke off"),
        (b"data: {\n\n", "no event"),
        (b'data: {"error": {"code": "state_conflict", "message": "taken"}}\n\n', "taken"),
    ],
)
async def test_a_load_that_does_not_end_as_it_should_is_an_error(loading, why):
    async with box(loading).serving() as server, opened(server.url) as backend:
        with pytest.raises((BackendError, StateConflict), match=why):
            await load(backend, "m")


async def test_of_a_server_whose_list_is_not_asked_for_a_third_orac_learns_nothing():
    for dialect, relayed in ((None, True), ("vllm", False), ("orac", True)):
        settings = {"list_models": False, "models": {"m": "n"}, "dialect": dialect}
        async with opened("http://127.0.0.1:9", **settings) as backend:
            assert (await listed_as(backend, "m")).relayed is relayed


@pytest.mark.parametrize("instance", ["a\x1b[31m", "x" * 301, "", 7])
def test_a_backend_that_can_not_be_named_in_a_line_names_no_model_either(instance):
    infos = offers(BASE, {**BASE, "instance": instance})
    assert [info.id for info in infos] == ["m"]


def test_a_code_of_thousands_of_digits_is_no_status():
    error = ServerRefusals("a box").of_frame({"code": "9" * 5000, "message": "no"})
    assert (type(error), str(error)) == (BackendError, "a box: no")
