"""Who may ask the service, over real sockets."""

import re
from urllib.parse import urlsplit

import orjson
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from orac_core import BackendError
from orac_core.manifest import ServerSettings
from orac_server import create_app
from orac_server.access.arranged import OPEN, arranged
from orac_server.access.guard import IN_CLEAR
from orac_server.cli import machine
from orac_server.cli.serve import announce
from orac_server.routes import endpoints

ADMIN, USER = "an-administrators-token", "a-token-of-some-user"
TOKENS = {"ORAC_ADMIN_TOKEN": ADMIN, "ORAC_USER_TOKEN": USER}
EVIL = "https://evil.example"
ROBOTS = "https://robots.example"
PROMPT = {"model": "small", "prompt": "hi"}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def guard(environ=TOKENS, **wanted):
    return arranged("127.0.0.1", "", ServerSettings(allowed_hosts=("a",), **wanted), environ)


@pytest.fixture
async def locked(open_service, backend):
    """A service that wants a token."""
    return await open_service(backend, guard=guard())


@pytest.fixture
async def shared(open_service, backend):
    """A service that pages of another origin may use, with a token."""
    return await open_service(backend, guard=guard(allowed_origins=(ROBOTS,)))


def path_of(endpoint):
    return re.sub(r"\{\w+[^/]*\}", "small", endpoint.path)


SCOPED = [
    pytest.param(each.method, path_of(each), each.scope, id=f"{each.method} {path_of(each)}")
    for each in endpoints()
]


@pytest.mark.parametrize(("method", "path", "scope"), SCOPED)
async def test_p60_p62_each_route_asks_for_the_token_that_its_scope_needs(
    locked, backend, method, path, scope
):
    none = await locked.ask(method, path)
    if scope == "open":
        assert none.status in (200, 503)
        return
    assert (none.status, none.error["code"]) == (401, "unauthorized")
    assert none.error["type"] == "authentication_error"
    assert none.headers["WWW-Authenticate"] == 'Bearer realm="ORAC"'
    assert "Authorization: Bearer" in none.error["message"]
    if scope == "admin":
        user = await locked.ask(method, path, headers=bearer(USER))
        assert (user.status, user.error["code"]) == (403, "forbidden")
        assert user.error["type"] == "permission_error"
        assert "administrator" in user.error["message"]
    assert backend.calls == []


@pytest.mark.parametrize(
    "path",
    ["/", "/docs", "/docs/start.js", "/openapi.json", "/metrics", "/v1/health", "/v1/health/live"],
)
async def test_p60_pages_the_document_metrics_and_health_are_open_to_anybody(locked, path):
    assert (await locked.get(path)).status == 200


async def test_p60_what_changes_something_takes_an_administrator():
    changes = {each.path for each in endpoints() if each.scope == "admin"}
    assert all(each.scope != "open" for each in endpoints() if each.method == "POST")
    assert {"/v1/benchmark", "/v1/models/load", "/v1/models/unload"} <= changes


@pytest.mark.parametrize("token", [ADMIN, USER])
@pytest.mark.parametrize("form", ["Authorization", "X-Api-Key", "both", "small letters"])
async def test_a_token_may_come_in_either_header(locked, token, form):
    headers = {
        "Authorization": bearer(token),
        "X-Api-Key": {"X-Api-Key": token},
        "both": {**bearer(token), "X-Api-Key": token},
        "small letters": {"authorization": f"bearer {token}"},
    }[form]
    assert (await locked.ask("GET", "/v1/models", headers=headers)).status == 200
    assert (await locked.ask("POST", "/v1/prompt", json=PROMPT, headers=headers)).status == 200


async def test_the_token_of_an_administrator_loads(locked):
    reply = await locked.ask("POST", "/v1/models/small/load", headers=bearer(ADMIN))
    assert (reply.status, reply.body["state"]) == (200, "ready")


@pytest.mark.parametrize(
    "headers",
    [
        bearer("x" * len(ADMIN)),
        bearer(ADMIN[:-1]),
        bearer(f"{ADMIN}x"),
        bearer(ADMIN.upper()),
        bearer(""),
        bearer("Bearer " + ADMIN),
        {"Authorization": ADMIN},
        {"Authorization": f"Basic {ADMIN}"},
        {"Authorization": "Bearer"},
        {"X-Api-Key": ADMIN[1:]},
        {"X-Api-Key": f"Bearer {ADMIN}"},
        {**bearer(ADMIN), "X-Api-Key": USER},
        {**bearer(ADMIN), "X-Api-Key": ""},
        {"Cookie": f"token={ADMIN}"},
    ],
    ids=str,
)
async def test_p61_what_is_not_the_token_is_401(locked, headers):
    reply = await locked.ask("GET", "/v1/models", headers=headers)
    assert (reply.status, reply.error["code"]) == (401, "unauthorized")
    assert ADMIN not in reply.error["message"]


@pytest.mark.parametrize("name", ["token", "api_key", "access_token", "authorization", "key"])
async def test_p64_a_token_in_the_address_is_none(locked, name):
    reply = await locked.get(f"/v1/models?{name}={ADMIN}")
    assert (reply.status, reply.error["code"]) == (401, "unauthorized")
    reply = await locked.get(f"/v1/models?{name}=Bearer%20{ADMIN}")
    assert reply.status == 401


async def test_what_is_not_there_is_told_to_anybody(locked):
    assert (await locked.get("/v1/nothing")).error["code"] == "not_found"
    reply = await locked.ask("DELETE", "/v1/models")
    assert (reply.status, reply.headers["Allow"]) == (405, "GET,HEAD")


async def test_head_takes_the_same_token_as_get(locked):
    assert (await locked.ask("HEAD", "/v1/models")).status == 401
    assert (await locked.ask("HEAD", "/v1/models", headers=bearer(USER))).status == 200


async def test_a_route_that_somebody_adds_takes_an_administrator(service, aiohttp_client):
    async def mine(_request):
        return web.Response(text="mine")

    app = create_app(service.manager, guard=guard())
    app.router.add_get("/mine", mine)
    client = await aiohttp_client(app)
    statuses = [
        (await client.get("/mine", headers=headers)).status
        for headers in (None, bearer(USER), bearer(ADMIN))
    ]
    assert statuses == [401, 403, 200]


async def test_without_tokens_one_that_is_sent_all_the_same_is_ignored(service):
    for token in ("sk-no-key-required", "", "\u00e9"):
        reply = await service.ask("POST", "/v1/prompt", json=PROMPT, headers=bearer(token))
        assert reply.status == 200


async def test_p66_health_works_without_a_token_and_tells_no_paths_and_no_prompts(
    open_service, tiny_models, tmp_path
):
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    told = guard({"ORAC_ADMIN_TOKEN": ADMIN})
    service = await open_service(models_dir=tmp_path, guard=told)
    prompt = "zyzzyva goes for a walk"
    body = {"model": "broken", "prompt": prompt}
    assert (await service.ask("POST", "/v1/prompt", json=body, headers=bearer(ADMIN))).status == 422
    for path in ("/v1/health", "/v1/health/live", "/v1/health/ready"):
        async with service.session.get(path) as response:
            text = await response.text()
        assert response.status == 200
        assert str(tmp_path) not in text
        assert "zyzzyva" not in text
        assert ADMIN not in text
        assert not re.search(r"(?<![\w:/.])/(?:home|tmp|root|var|usr|models)/", text)


async def test_p66_health_repeats_no_engine_that_quotes_what_it_was_asked(locked, backend):
    text = "zyzzyva goes for a walk"
    backend.failures["word 0"] = BackendError(f"can not answer {text!r}, see /home/joe/log.txt")
    backend.failures["unload"] = BackendError("can not free /home/joe/models/small.gguf")
    asked = {"model": "small", "prompt": text}
    for path, body in (("/v1/prompt", asked), ("/v1/models/small/unload", None)):
        reply = await locked.ask("POST", path, json=body, headers=bearer(ADMIN))
        assert reply.status == 502
    health = str((await locked.get("/v1/health")).body)
    assert "zyzzyva" not in health
    assert "/home/joe" not in health


# Host and Origin ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/v1/health", "/v1/models", "/nothing", "/dashboard/app.js"])
async def test_p50_a_name_that_is_none_of_ours_is_403(service, path):
    for host in ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.io"):
        reply = await service.ask("GET", path, headers={"Host": host})
        assert (reply.status, reply.error["code"]) == (403, "host_not_allowed")
        assert "allowed_hosts" in reply.error["message"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.9.9.9:80", "[::1]"])
async def test_names_of_loopback_are_ours_whatever_the_port(service, host):
    assert (await service.ask("GET", "/v1/models", headers={"Host": host})).status == 200


async def test_on_loopback_the_address_of_another_network_is_none_of_ours(locked):
    for host in ("192.168.1.5", "0.0.0.0", "[fe80::1]"):
        reply = await locked.ask("GET", "/", headers={"Host": host})
        assert reply.error["code"] == "host_not_allowed"


async def test_two_hosts_in_one_request_are_none_of_ours(service):
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    received = await service.raw(head)
    assert received.partition(b"\r\n")[0].split()[1] in (b"400", b"403")


async def test_p34_http_1_1_without_a_host_is_400_and_http_1_0_is_answered(service):
    head, _, body = (await service.raw(b"GET / HTTP/1.1\r\n\r\n")).partition(b"\r\n\r\n")
    assert b" 400 " in head.partition(b"\r\n")[0]
    assert orjson.loads(body)["error"]["code"] == "bad_request"
    assert b" 200 " in (await service.raw(b"GET / HTTP/1.0\r\n\r\n")).partition(b"\r\n")[0]


@pytest.mark.parametrize("origin", [EVIL, "null", "", "http://localhost:1", "file://", "x" * 5000])
async def test_p51_a_page_of_another_origin_can_not_post(service, backend, origin):
    headers = {"Origin": origin}
    reply = await service.ask("POST", "/v1/prompt", json=PROMPT, headers=headers)
    assert (reply.status, reply.error["code"]) == (403, "origin_not_allowed")
    assert len(reply.error["message"]) < 400
    assert backend.calls == []


async def test_p51_a_page_of_another_site_that_hides_its_origin_can_not_post(service, backend):
    headers = {"Sec-Fetch-Site": "cross-site"}
    reply = await service.ask("POST", "/v1/models/small/load", headers=headers)
    assert (reply.status, reply.error["code"]) == (403, "origin_not_allowed")
    assert backend.calls == []


async def test_a_page_of_another_origin_reads_nothing_but_a_link_leads_here(service):
    reply = await service.ask("GET", "/v1/models", headers={"Origin": EVIL})
    assert reply.error["code"] == "origin_not_allowed"
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert (await service.ask("GET", "/", headers=headers)).status == 200


async def test_oracs_own_page_may_ask(service):
    headers = {"Origin": service.url.rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    reply = await service.ask("POST", "/v1/prompt", json=PROMPT, headers=headers)
    assert reply.status == 200
    assert "Access-Control-Allow-Origin" not in reply.headers


async def test_oracs_own_page_may_ask_behind_a_proxy_that_speaks_tls(service):
    headers = {"Host": "a", "Origin": "https://a"}
    assert (await service.ask("POST", "/v1/prompt", json=PROMPT, headers=headers)).status == 200


@pytest.mark.parametrize("origin", [EVIL, "null", "https://robots.example.evil.example"])
async def test_p52_a_foreign_origin_is_told_nothing_of_what_it_may_do(service, shared, origin):
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for each in (service, shared):
        reply = await each.ask("OPTIONS", "/v1/prompt", headers=headers)
        assert reply.status == 403
        assert not [name for name in reply.headers if name.lower().startswith("access-control")]


async def test_an_origin_that_is_allowed_is_told_what_it_may_do_without_a_token(shared):
    headers = {
        "Origin": ROBOTS,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    reply = await shared.ask("OPTIONS", "/v1/prompt", headers=headers)
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["Access-Control-Allow-Origin"] == ROBOTS
    assert reply.headers["Access-Control-Allow-Methods"] == "GET, HEAD, POST"
    assert reply.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
    assert reply.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in reply.headers


async def test_an_origin_that_is_allowed_reads_answers_and_errors_alike(shared):
    site = {"Origin": ROBOTS, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    for headers, status in ((site | bearer(USER), 200), (site, 401)):
        reply = await shared.ask("POST", "/v1/prompt", json=PROMPT, headers=headers)
        assert reply.status == status
        assert reply.headers["Access-Control-Allow-Origin"] == ROBOTS
        assert "Access-Control-Allow-Credentials" not in reply.headers


async def test_a_stream_for_an_origin_that_is_allowed_has_the_headers_too(shared):
    headers = {"Origin": ROBOTS, **bearer(USER)}
    body = {**PROMPT, "stream": True}
    reply = await shared.ask("POST", "/v1/prompt", json=body, headers=headers)
    assert reply.headers["Access-Control-Allow-Origin"] == ROBOTS


async def test_what_is_answered_to_one_origin_is_kept_for_no_other(shared):
    assert "Origin" in (await shared.get("/")).headers.getall("Vary")


async def test_options_of_a_program_are_what_they_were(service):
    reply = await service.ask("OPTIONS", "/v1/models")
    assert (reply.status, reply.headers["Allow"]) == (405, "GET,HEAD")


# Answers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/models", "/v1/health", "/v1/nothing", "/v1/models/x"])
async def test_what_is_told_is_kept_by_no_cache(service, path):
    assert (await service.get(path)).headers["Cache-Control"] == "no-store"


async def test_p53_no_other_site_can_embed_what_is_served(service):
    for path in ("/", "/v1/models", "/dashboard/app.js"):
        headers = (await service.get(path)).headers
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "sent",
    [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n"],
)
async def test_p59_no_answer_tells_what_it_is_made_with(service, sent):
    received = await service.raw(sent)
    assert b"Server: ORAC\r\n" in received
    assert not re.search(rb"aiohttp|python|\d\.\d+\.\d", received, re.IGNORECASE)


any_bytes = st.binary(max_size=40).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b""))
near = st.sampled_from(
    [b"Bearer ", b"bearer", b"Basic ", b"\xff", b"null", b"http://", b"[::1", b"localhost:", b"a"]
)
values = st.builds(b"".join, st.lists(near | any_bytes, max_size=4))
headers_sent = st.lists(
    st.tuples(st.sampled_from([b"Authorization", b"X-Api-Key", b"Host", b"Origin"]), values),
    max_size=5,
)


@given(headers_sent, st.booleans())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_bytes_in_a_header_fail_or_let_anybody_in(locked, headers, named):
    lines = [b"Host: a"] if named else []
    lines += [b"%b: %b" % pair for pair in headers]
    head = b"\r\n".join([b"GET /v1/models HTTP/1.1", b"Connection: close", *lines, b"", b""])
    received = await locked.raw(head)
    assert received.startswith(b"HTTP/1.")
    assert received.split(maxsplit=2)[1] in (b"400", b"401", b"403")


async def test_a_token_over_plain_http_from_another_machine_is_warned_of_once(locked, monkeypatch):
    monkeypatch.setattr("aiohttp.web.BaseRequest.remote", "192.0.2.7")
    with capture_logs() as logged:
        for _ in range(3):
            await locked.ask("GET", "/v1/models", headers=bearer(USER))
    assert [each["event"] for each in logged] == [IN_CLEAR]
    assert USER not in str(logged)


async def test_a_token_from_this_machine_is_warned_of_never(locked):
    with capture_logs() as logged:
        await locked.ask("GET", "/v1/models", headers=bearer(USER))
    assert logged == []


async def test_that_nobody_is_asked_for_a_token_is_told_by_health(open_service, backend):
    wanted = ServerSettings(auth=False)
    service = await open_service(backend, guard=arranged("0.0.0.0", "", wanted, {}))
    assert (await service.get("/v1/models")).status == 200
    body = (await service.get("/v1/health")).body
    assert body["status"] == "degraded"
    (told,) = body["degradation"]
    assert (told["service"], told["message"]) == ("access", OPEN)


async def test_it_says_at_its_start_who_may_ask(service, capsys, tmp_path):
    environ = {"ORAC_STATE_DIR": str(tmp_path), "ORAC_USER_TOKEN": USER}
    for wanted, told in (
        (ServerSettings(), f"An administrator's token is needed; it is in the file {tmp_path}/"),
        (ServerSettings(), "A user's token is needed; it is in the variable ORAC_USER_TOKEN\n"),
        (ServerSettings(auth=False), "Whoever can reach it may use and change it: no token is"),
    ):
        found = arranged("0.0.0.0", "", wanted, environ)
        await announce(service.url, service.manager, found, demo=False, in_json=False)
        assert told in capsys.readouterr().out


async def test_the_doctor_warns_of_a_server_that_asks_for_no_token(open_service, backend):
    found = arranged("0.0.0.0", "", ServerSettings(auth=False), {})
    service = await open_service(backend, guard=found)
    section = await machine.server(service.url.rstrip("/"))
    assert [(each.level, each.text) for each in section.findings][1:] == [("warning", OPEN)]


async def test_p67_line_breaks_in_a_name_are_one_line_of_the_log(locked):
    port = urlsplit(locked.url).port
    with capture_logs() as logged:
        reply = await locked.ask(
            "POST", f"http://127.0.0.1:{port}/v1/models/a%0d%0ab/load", headers=bearer(ADMIN)
        )
    assert reply.status == 404
    assert "\n" not in reply.error["message"]
    assert logged == []
