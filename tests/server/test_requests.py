"""Bad requests: each is a clear 4xx that names every fault."""

import asyncio

import pytest

JSON = {"Content-Type": "application/json"}
ASKED = {"model": "small", "prompt": "hi"}
TURN = {"role": "user", "content": "hi"}
NAMING = ("/v1/prompt", "/v1/plan", "/v1/models/load", "/v1/models/unload")
"""Routes whose bodies name a model."""


async def still_answers(service):
    assert (await service.get("/v1/health")).status == 200
    assert (await service.post("/v1/prompt", ASKED)).status == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"x"', b"3", b"null", b"NaN", b'{"model":NaN}', b'{"a":1e999}', b"\xff"],
)
async def test_p20_a_body_that_is_no_json_object_is_400(service, body):
    reply = await service.ask("POST", "/v1/prompt", data=body, headers=JSON)
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")
    assert "body" in reply.error["message"]
    await still_answers(service)


@pytest.mark.parametrize("path", ["/v1/prompt", "/v1/models/load", "/v1/models/small/load"])
@pytest.mark.parametrize(
    "type_",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
async def test_p20_p32_a_body_that_is_not_said_to_be_json_is_415(service, path, type_):
    headers = {"Content-Type": type_} if type_ else {}
    options = {} if type_ else {"skip_auto_headers": ["Content-Type"]}
    reply = await service.ask(
        "POST", path, data=b'{"model":"small","prompt":"hi"}', headers=headers, **options
    )
    assert (reply.status, reply.error["code"]) == (415, "unsupported_media_type")
    assert "application/json" in reply.error["message"]


async def test_p51_a_browser_has_to_say_json_also_when_it_sends_nothing(service, backend):
    headers = {"Origin": service.url.rstrip("/")}
    reply = await service.ask("POST", "/v1/models/small/load", headers=headers)
    assert (reply.status, reply.error["code"]) == (415, "unsupported_media_type")
    assert backend.calls == []


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x"])
async def test_a_body_that_is_compressed_in_another_way_is_415(service, encoding):
    headers = {**JSON, "Content-Encoding": encoding}
    reply = await service.ask("POST", "/v1/prompt", data=b"\x1f\x8b", headers=headers)
    assert (reply.status, reply.error["code"]) == (415, "unsupported_media_type")
    assert "gzip or deflate" in reply.error["message"]


async def test_json_with_a_charset_is_json(service):
    headers = {"Content-Type": "application/json; charset=utf-8"}
    body = b'{"model":"small","prompt":"hi"}'
    assert (await service.ask("POST", "/v1/prompt", data=body, headers=headers)).status == 200


@pytest.mark.parametrize("model", [None, 5, "", [], {}, True, "x" * 10_000])
@pytest.mark.parametrize("path", NAMING)
async def test_p21_a_model_that_is_no_name_is_400(service, path, model):
    body = {"model": model} | ({"prompt": "hi"} if path == "/v1/prompt" else {})
    reply = await service.post(path, body)
    assert list(reply.faults) == ["model"]
    assert reply.error["param"] == "model"
    assert len(reply.error["message"]) < 200


@pytest.mark.parametrize("path", NAMING)
async def test_p21_a_missing_model_is_400(service, path):
    body = {"prompt": "hi"} if path == "/v1/prompt" else {}
    assert (await service.post(path, body)).faults == {"model": "is missing"}


async def test_p21_a_long_name_in_an_address_is_404_in_a_short_text(service):
    reply = await service.get("/v1/models/" + "x" * 7000)
    assert reply.status == 404
    assert len(reply.error["message"]) < 200


@pytest.mark.parametrize("prompt", [5, ["hi"], {}, True, ""])
async def test_p22_a_prompt_that_is_no_text_is_400(service, prompt):
    reply = await service.post("/v1/prompt", {"model": "small", "prompt": prompt})
    assert list(reply.faults) == ["prompt"]


@pytest.mark.parametrize("said", [{}, {"prompt": None}, {"messages": None}])
async def test_p22_neither_prompt_nor_messages_is_400(service, said):
    reply = await service.post("/v1/prompt", {"model": "small", **said})
    assert "either `prompt` or `messages`; both are missing" in reply.error["message"]


async def test_both_prompt_and_messages_are_400(service):
    reply = await service.post("/v1/prompt", {**ASKED, "messages": [TURN]})
    assert "not both" in reply.error["message"]


async def test_p23_a_huge_body_is_413_before_it_is_read(service, process):
    memory = process.memory_info().rss
    head = (
        b"POST /v1/prompt HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Content-Length: 67108864\r\nConnection: close\r\n\r\n"
    )
    async with asyncio.timeout(5):
        received = await service.raw(head, *[bytes(1024 * 1024)] * 64)
    assert received.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"body_too_large"' in received
    assert process.memory_info().rss - memory < 4 * 1024**2
    await still_answers(service)


async def test_p23_a_huge_body_in_chunks_is_413_too(service, process):
    memory = process.memory_info().rss

    async def chunks():
        for _ in range(64):
            yield bytes(1024 * 1024)

    reply = await service.ask("POST", "/v1/prompt", data=chunks(), headers=JSON)
    assert (reply.status, reply.error["code"]) == (413, "body_too_large")
    assert process.memory_info().rss - memory < 8 * 1024**2
    await still_answers(service)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"temperature": -1}, "options.temperature"),
        ({"temperature": 5e9}, "options.temperature"),
        ({"temperature": "hot"}, "options.temperature"),
        ({"max_tokens": -1}, "options.max_tokens"),
        ({"max_tokens": 0}, "options.max_tokens"),
        ({"max_tokens": "a"}, "options.max_tokens"),
        ({"max_tokens": True}, "options.max_tokens"),
        ({"max_tokens": 1.5}, "options.max_tokens"),
        ({"max_tokens": 10**30}, "options.max_tokens"),
        ({"top_p": 1.1}, "options.top_p"),
        ({"min_p": -0.1}, "options.min_p"),
        ({"top_k": -1}, "options.top_k"),
        ({"seed": -1}, "options.seed"),
        ({"seed": 2**32 - 1}, "options.seed"),
        ({"repeat_penalty": 0}, "options.repeat_penalty"),
        ({"stop": ""}, "options.stop"),
        ({"stop": ["a"] * 17}, "options.stop"),
        ({"stop": ["a", ""]}, "options.stop.1"),
        ({"stop": 3}, "options.stop"),
        ([], "options"),
    ],
)
async def test_p25_an_option_out_of_range_is_400_and_named(service, options, fault):
    reply = await service.post("/v1/prompt", {**ASKED, "options": options})
    assert list(reply.faults) == [fault]
    assert "valid under" not in reply.error["message"]


async def test_every_fault_is_named_at_once(service):
    body = {"model": 5, "prompt": "", "stream": "yes", "options": {"seed": -1, "top_k": "a"}}
    faults = (await service.post("/v1/prompt", body)).faults
    assert faults == {
        "model": "must be text",
        "prompt": "must not be empty",
        "stream": "must be true or false",
        "options.seed": "must be at least 0",
        "options.top_k": "must be a whole number",
    }


@pytest.mark.parametrize(
    "body",
    [
        {"api_base": "http://127.0.0.1:1"},
        {"url": "x"},
        {"path": "/etc"},
        {"options": {"n_discard": -1}},
        {"options": {"Temperature": 1}},
    ],
)
async def test_p26_p31_an_unknown_field_is_400_and_named(service, backend, body):
    reply = await service.post("/v1/prompt", {**ASKED, **body})
    (path,) = reply.faults
    assert reply.faults[path] == "unknown field"
    assert path.rpartition(".")[2] in {"api_base", "url", "path", "n_discard", "Temperature"}
    assert backend.calls == []


async def test_a_body_made_of_faults_is_answered_in_short(service):
    body = {**ASKED, **{f"{number}" + "x" * 100: 1 for number in range(5000)}}
    reply = await service.post("/v1/prompt", body)
    assert len(reply.faults) == 50
    assert max(map(len, reply.faults)) < 70


async def test_p27_of_a_key_that_occurs_twice_the_last_holds_everywhere(service, backend):
    body = b'{"model":"large","prompt":"hi","model":"small"}'
    reply = await service.ask("POST", "/v1/prompt", data=body, headers=JSON)
    assert reply.body["model"] == "small"
    assert {model for _, model in backend.calls} == {"small"}


KNOWN = [
    ("GET", "/v1/prompt", "POST"),
    ("DELETE", "/v1/models", "GET,HEAD"),
    ("PATCH", "/", "GET,HEAD"),
    ("POST", "/v1/health", "GET,HEAD"),
    ("POST", "/v1/health/live", "GET,HEAD"),
    ("POST", "/v1/health/ready", "GET,HEAD"),
    ("PUT", "/v1/models/small", "GET,HEAD"),
    ("POST", "/v1/models/small", "GET,HEAD"),
    ("PUT", "/v1/models/load", "GET,HEAD,POST"),
    ("DELETE", "/v1/models/small/load", "GET,HEAD,POST"),
    ("OPTIONS", "/v1/prompt", "POST"),
]


@pytest.mark.parametrize(("method", "path", "allow"), KNOWN)
async def test_p28_a_known_path_says_what_is_possible_there(service, method, path, allow):
    reply = await service.ask(method, path)
    assert (reply.status, reply.error["code"]) == (405, "method_not_allowed")
    assert reply.headers["Allow"] == allow


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/v1", "/v1/", "/v1/models/", "/v2", "/favicon.ico"]
)
async def test_p29_an_unknown_path_is_404(service, path):
    reply = await service.get(path)
    assert (reply.status, reply.error["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("messages", "fault"),
    [
        ([], "messages"),
        ([TURN] * 10_000, "messages"),
        ("hi", "messages"),
        ([{"role": "robot", "content": "hi"}], "messages.0.role"),
        ([TURN, {"role": "user", "content": None}], "messages.1.content"),
        ([{"role": "user"}], "messages.0.content"),
        ([{**TURN, "name": "x"}], "messages.0.name"),
        (["hi"], "messages.0"),
    ],
)
async def test_p30_bad_messages_are_400_and_named(service, messages, fault):
    reply = await service.post("/v1/prompt", {"model": "small", "messages": messages})
    assert list(reply.faults) == [fault]


@pytest.mark.parametrize("deadline_ms", [0, -1, 86_400_001, "soon"])
async def test_a_deadline_out_of_range_is_400(service, deadline_ms):
    reply = await service.post("/v1/prompt", {**ASKED, "deadline_ms": deadline_ms})
    assert list(reply.faults) == ["deadline_ms"]


async def test_a_format_of_another_type_is_400_and_says_what_it_may_be(service):
    for wrong in (3, "xml", [1]):
        faults = (await service.post("/v1/prompt", {**ASKED, "format": wrong})).faults
        assert faults == {"format": 'must be "json" or an object'}


async def test_a_format_that_is_no_schema_is_400(service):
    reply = await service.post("/v1/prompt", {**ASKED, "format": {"type": "wonder"}})
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("depth", [300, 1000, 100_000])
async def test_deep_nesting_is_400(service, depth):
    body = b'{"model":"small","prompt":"hi","format":' + b'{"a":' * depth + b"1" + b"}" * depth
    reply = await service.ask("POST", "/v1/prompt", data=body + b"}", headers=JSON)
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")
    await still_answers(service)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"context_length": 0}, "context_length"),
        ({"gpu_layers": -1}, "gpu_layers"),
        ({"parallel": "many"}, "parallel"),
        ({"keep": 1}, "keep"),
    ],
)
async def test_a_bad_option_of_a_load_is_400_and_named(service, body, fault):
    reply = await service.post("/v1/models/small/load", body)
    assert list(reply.faults) == [fault]


async def test_null_is_as_if_it_had_not_been_said(service):
    nothing = dict.fromkeys(("system", "messages", "format", "options", "deadline_ms"))
    assert (await service.post("/v1/prompt", {**ASKED, **nothing})).status == 200
