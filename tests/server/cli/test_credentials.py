"""Which token a command sends, and to whom."""

import pytest
from aiohttp import web

from orac_core import ConfigurationError
from orac_server.access.places import kept
from orac_server.cli.client import NoServer, Refused, reach
from orac_server.cli.credentials import credential, known

ONE, TWO, THREE = (f"the-token-number-{each}" for each in (1, 2, 3))
HERE, ELSEWHERE = "http://127.0.0.1:8000", "http://robot.lan:8000"
MODELS = {"object": "list", "data": []}


@pytest.fixture
def received(aiohttp_server):
    """Opens servers that note the headers they get, and redirect where they are told to."""

    async def opened(status=200, body=None, location=None):
        headers = []

        async def answer(request):
            headers.append(request.headers)
            if location:
                raise web.HTTPTemporaryRedirect(location)
            return web.json_response(body or MODELS, status=status)

        async def live(request):
            headers.append(request.headers)
            return web.json_response({"status": "live"})

        app = web.Application()
        app.router.add_get("/v1/health/live", live)
        app.router.add_get("/v1/models", answer)
        server = await aiohttp_server(app)
        return str(server.make_url("")).rstrip("/"), headers

    return opened


def sent(headers):
    return {each.get("Authorization") for each in headers}


def test_the_first_variable_that_is_set_holds(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{THREE}\n")
    environ = {"ORAC_USER_TOKEN_FILE": str(file)}
    assert credential(ELSEWHERE, environ).text == THREE
    environ |= {"ORAC_ADMIN_TOKEN": TWO}
    assert credential(ELSEWHERE, environ).text == TWO
    environ |= {"ORAC_TOKEN": ONE}
    assert credential(ELSEWHERE, environ).text == ONE


def test_the_token_that_orac_made_is_for_this_machine_alone(tmp_path):
    environ = {"ORAC_STATE_DIR": str(tmp_path)}
    assert credential(HERE, environ) is None
    made = kept(tmp_path)
    for url in (HERE, "http://localhost:8000", "http://[::1]:8000", "http://127.1.2.3"):
        assert credential(url, environ).text == made.text
    assert credential(ELSEWHERE, environ) is None
    assert credential("http://127.0.0.1.evil.example", environ) is None
    (tmp_path / "admin-token").chmod(0o644)
    assert credential(HERE, environ) is None


def test_a_variable_that_holds_no_token_is_told_without_showing_it():
    with pytest.raises(ConfigurationError, match="ORAC_TOKEN holds white space") as caught:
        credential(HERE, {"ORAC_TOKEN": f"{ONE}\r\nX: y"})
    assert ONE not in str(caught.value)


def test_tokens_in_files_are_known_to_whoever_has_to_mask_them(tmp_path):
    file = tmp_path / "token"
    file.write_text(ONE)
    made = kept(tmp_path)
    environ = {"ORAC_USER_TOKEN_FILE": str(file), "ORAC_STATE_DIR": str(tmp_path)}
    environ |= {"ORAC_ADMIN_TOKEN": "short", "ORAC_TOKEN": TWO}
    assert set(known(environ).values()) == {ONE, TWO, made.text}


async def test_the_token_goes_along_with_every_request(received, monkeypatch):
    monkeypatch.setenv("ORAC_TOKEN", ONE)
    url, headers = await received()
    async with reach(url) as server:
        await server.models()
    assert sent(headers) == {f"Bearer {ONE}"}


async def test_without_a_token_none_goes_along(received):
    url, headers = await received()
    async with reach(url) as server:
        await server.models()
    assert sent(headers) == {None}


async def test_a_redirect_takes_the_token_nowhere_else(received, monkeypatch):
    monkeypatch.setenv("ORAC_TOKEN", ONE)
    there, stolen = await received()
    for place in (there, there.replace("127.0.0.1", "localhost")):
        here, _ = await received(location=f"{place}/v1/models")
        async with reach(here) as server:
            assert await server.models() == []
    assert len(stolen) == 2
    assert sent(stolen) == {None}


@pytest.mark.parametrize(
    ("token", "told"), [(None, "the server wants a token"), (ONE, "does not take the token")]
)
async def test_a_server_that_refuses_says_what_to_do(received, monkeypatch, token, told):
    if token:
        monkeypatch.setenv("ORAC_TOKEN", token)
    url, _ = await received(401, {"error": {"message": "x", "code": "unauthorized"}})
    async with reach(url) as server:
        with pytest.raises(Refused, match=told) as caught:
            await server.models()
    assert "put the right one into ORAC_TOKEN" in str(caught.value)
    assert ONE not in str(caught.value)


async def test_a_users_token_where_an_administrators_is_needed_is_told(received):
    url, _ = await received(403, {"error": {"message": "an administrator's", "code": "forbidden"}})
    async with reach(url) as server:
        with pytest.raises(Refused, match="an administrator's: put the right one into ORAC_TOKEN"):
            await server.models()


async def test_a_server_that_does_not_answer_to_a_name_is_no_server_that_is_not_there(
    aiohttp_server,
):
    async def live(_request):
        error = {"message": "ORAC does not answer to the name 'x'", "code": "host_not_allowed"}
        return web.json_response({"error": error}, status=403)

    app = web.Application()
    app.router.add_get("/v1/health/live", live)
    url = str((await aiohttp_server(app)).make_url("")).rstrip("/")
    with pytest.raises(Refused, match="does not answer to the name"):
        async with reach(url):
            pass
    with pytest.raises(NoServer):
        async with reach("http://127.0.0.1:9"):
            pass
