"""What the guard is made of: tokens, names, origins, and where tokens are found."""

import hmac
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core import ConfigurationError
from orac_core.manifest import ServerSettings
from orac_server.access import hosts, places, tokens
from orac_server.access.arranged import OPEN, arranged
from orac_server.access.hosts import Hosts
from orac_server.access.origins import Asked, Origins
from orac_server.access.tokens import Token, Tokens, brought

ADMIN, USER = "an-administrators-token", "a-token-of-some-user"
PUBLIC = "0.0.0.0"
texts = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16, max_size=60)


# Tokens ------------------------------------------------------------------------------------------


@given(texts, texts, st.text() | st.text(st.characters(categories=["Cs"])))
def test_a_token_is_good_for_what_it_is_and_any_other_text_for_nothing(admin, user, other):
    known = Tokens(Token.of(admin, "here"), Token.of(user, "there"))
    assert known.right(admin) == "admin"
    assert known.right(user) == ("admin" if user == admin else "user")
    assert known.right(other) is None or other in (admin, user)


@given(texts, texts)
def test_of_a_token_nothing_is_shown(admin, user):
    known = Tokens(Token.of(admin, "here"), Token.of(user, "there"))
    assert admin not in repr(known)
    assert user not in repr(known)
    assert repr(known.admin.digest) not in repr(known)
    assert ADMIN not in repr(places.given({"ORAC_TOKEN": ADMIN}, "ORAC_TOKEN"))


@pytest.mark.parametrize("user", [None, USER])
@pytest.mark.parametrize(
    "given", ["", "x", ADMIN, USER, ADMIN[:-1] + "x", "x" + ADMIN[1:], "x" * 9999]
)
def test_p63_every_text_is_compared_with_both_tokens_and_at_one_length(monkeypatch, user, given):
    compared = []

    def compare(a, b):
        compared.append((type(a), type(b), len(a), len(b)))
        return a == b

    monkeypatch.setattr(tokens, "compare_digest", compare)
    Tokens(Token.of(ADMIN, "here"), Token.of(user, "there") if user else None).right(given)
    assert compared == [(bytes, bytes, 32, 32)] * 2


def test_the_comparison_is_the_one_in_constant_time():
    assert vars(tokens)["compare_digest"] is hmac.compare_digest


@given(texts)
def test_the_same_token_in_both_headers_is_one(token):
    assert brought([f"Bearer {token}"], [token]) == {token}
    assert brought([f"BEARER   {token} "], [f" {token}"]) == {token}


def test_another_scheme_brings_a_token_that_is_none():
    assert brought(["Basic abc"], []) == {""}
    assert brought([], []) == frozenset()


# Names -------------------------------------------------------------------------------------------

LABELS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)
PORTS = st.just("") | st.integers(0, 65535).map(lambda port: f":{port}")


@given(st.lists(LABELS, min_size=2, max_size=4).map(".".join), PORTS)
def test_p50_no_name_that_is_not_listed_is_allowed_wherever_it_listens(name, port):
    for listens_on in ("127.0.0.1", "192.168.1.5", PUBLIC, "::", None):
        allowed = Hosts.of(listens_on, "robot", ["orac.lan"])
        numbers = hosts.address(name) is not None
        listed = name in ("orac.lan", "robot.local")
        assert allowed.allow(name + port) <= (numbers or listed)


@given(st.ip_addresses(), PORTS)
def test_on_a_wildcard_any_address_is_allowed_and_on_loopback_its_own_only(address, port):
    shown = f"[{address}]" if address.version == 6 else str(address)
    assert Hosts.of(PUBLIC, "robot", []).allow(shown + port)
    assert Hosts.of("127.0.0.1", "robot", []).allow(shown + port) == address.is_loopback
    assert Hosts.of(str(address), "robot", []).allow(shown + port)


@given(st.text(max_size=30))
def test_any_text_is_allowed_or_not(text):
    assert Hosts.of("127.0.0.1", "robot", []).allow(text) in (True, False)


@pytest.mark.parametrize(
    ("listens_on", "host", "allowed"),
    [
        *(("127.0.0.1", "localhost.", True), ("127.0.0.1", "robot", False)),
        *(("192.168.1.5", "robot.local:80", True), ("192.168.1.5", "ROBOT", True)),
        *(("192.168.1.5", "192.168.1.6", False), ("192.168.1.5", "robot.lan", True)),
        *((PUBLIC, "robot.lan", True), ("::1", "[0:0:0:0:0:0:0:1]:9", True)),
        *((PUBLIC, "localhost:", True), (PUBLIC, "localhost:999999", False)),
        *((PUBLIC, "user@localhost", False), (PUBLIC, "localhost/x", False), (PUBLIC, "", False)),
    ],
)
def test_the_names_of_this_machine_hold_where_others_reach_it(listens_on, host, allowed):
    assert Hosts.of(listens_on, "robot.lan", []).allow(host) is allowed


@pytest.mark.parametrize("name", ["*", "robot.lan:8000", "http://robot.lan", "", "a b", ".lan/"])
def test_a_name_that_can_be_none_is_refused_with_its_place(name):
    with pytest.raises(ConfigurationError, match=r"server\.allowed_hosts"):
        arranged("127.0.0.1", "", ServerSettings(allowed_hosts=(name,)), {})


# Origins -----------------------------------------------------------------------------------------

METHODS = st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE"])
SITES = st.sampled_from([None, "cross-site", "same-site", "same-origin", "none"])
MODES = st.sampled_from([None, "navigate", "cors", "no-cors", "websocket"])
KNOWN = Origins.of(["https://robots.example"])


@given(METHODS, st.text(max_size=40) | st.just("null"), SITES, MODES)
def test_p51_a_foreign_origin_changes_nothing_and_reads_by_a_link_at_most(
    method, origin, site, mode
):
    welcome = KNOWN.welcome(Asked(method, "localhost:8000", origin, site, mode))
    assert not welcome or (method in ("GET", "HEAD") and mode == "navigate")


@given(METHODS, SITES, MODES)
def test_an_origin_that_is_allowed_and_a_program_may_do_everything(method, site, mode):
    assert KNOWN.welcome(Asked(method, "a", "https://robots.example", site, mode))
    assert KNOWN.welcome(Asked(method, "a"))


@pytest.mark.parametrize(
    ("host", "origin", "own"),
    [
        *(("a:8000", "http://a:8000", True), ("a", "https://a", True), ("A", "http://a:80", True)),
        *(("a:443", "https://a", True), ("[::1]:1", "http://[::1]:1", True)),
        *(("a:8000", "http://a", False), ("a:8000", "http://a:8001", False)),
        *(("a", "http://b", False), (None, "http://a", False), ("a", "ftp://a", False)),
        *(("a", "http://a@evil.example", False), ("a", "http://a/", False), ("a", "a", False)),
        *(("a", "null", False), ("null", "null", False), ("", "http://", False)),
    ],
)
def test_oracs_own_origin_is_where_its_host_leads(host, origin, own):
    assert Origins().welcome(Asked("POST", host, origin)) is own


@pytest.mark.parametrize(
    "origin", ["*", "null", "robots.example", "https://x/", "https://", "://x"]
)
def test_an_origin_that_can_be_none_is_refused_with_its_place(origin):
    with pytest.raises(ConfigurationError, match=r"server\.allowed_origins"):
        arranged("127.0.0.1", "", ServerSettings(allowed_origins=(origin,)), {})


# Where tokens are found --------------------------------------------------------------------------


def test_p56_without_a_word_it_listens_on_loopback():
    assert hosts.is_loopback(ServerSettings().host)


def test_on_loopback_no_token_is_needed_unless_one_is_set(tmp_path):
    environ = {"ORAC_STATE_DIR": str(tmp_path)}
    assert arranged("127.0.0.1", "", ServerSettings(), environ).tokens is None
    assert arranged("::1", "", ServerSettings(), environ).tokens is None
    assert list(tmp_path.iterdir()) == []
    found = arranged("127.0.0.1", "", ServerSettings(), environ | {"ORAC_ADMIN_TOKEN": ADMIN})
    assert found.places == {"admin": "the variable ORAC_ADMIN_TOKEN"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", [PUBLIC, "::", "192.168.1.5"])
def test_p57_anywhere_else_a_token_is_made_kept_and_found_again(tmp_path, address):
    environ = {"ORAC_STATE_DIR": str(tmp_path / "new")}
    first = arranged(address, "", ServerSettings(), environ)
    file = tmp_path / "new" / "admin-token"
    assert first.tokens.admin.made
    assert first.places == {"admin": f"the file {file}"}
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    assert len(text.strip()) == 43
    again = arranged(address, "", ServerSettings(), environ)
    assert not again.tokens.admin.made
    assert again.tokens.right(text.strip()) == "admin"
    assert file.read_text() == text
    assert [each.name for each in file.parent.iterdir()] == ["admin-token"]


def test_where_only_users_have_a_token_one_for_administrators_is_made(tmp_path):
    environ = {"ORAC_STATE_DIR": str(tmp_path), "ORAC_USER_TOKEN": USER}
    assert set(arranged("127.0.0.1", "", ServerSettings(), environ).places) == {"admin", "user"}


def test_of_two_that_start_at_once_both_take_the_same_token(tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, "lexists", lambda _: False)
    first, second = places.kept(tmp_path), places.kept(tmp_path)
    assert (first.made, second.made) == (True, False)
    assert first.text == second.text
    assert [each.name for each in tmp_path.iterdir()] == ["admin-token"]


def test_a_file_system_without_links_keeps_a_token_too(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    assert places.kept(tmp_path).text == places.kept(tmp_path).text
    assert [each.name for each in tmp_path.iterdir()] == ["admin-token"]


def test_with_auth_turned_off_nobody_is_asked_and_that_is_a_problem(tmp_path):
    off, environ = ServerSettings(auth=False), {"ORAC_STATE_DIR": str(tmp_path)}
    found = arranged(PUBLIC, "", off, environ)
    assert (found.tokens, found.problem) == (None, OPEN)
    assert arranged("127.0.0.1", "", off, environ).problem is None
    assert arranged("127.0.0.1", "", off, {"ORAC_USER_TOKEN": USER}).problem == OPEN
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        *(("", "is empty"), ("zyzzyva", "16 characters"), (f" {ADMIN}", "white space")),
        *((f"{ADMIN}\n", "white space"), (f"{ADMIN}\x00", "control"), (f"{ADMIN}\u00e9", "ASCII")),
    ],
)
def test_what_can_be_no_token_is_refused_without_showing_it(text, why):
    with pytest.raises(ConfigurationError) as caught:
        arranged("127.0.0.1", "", ServerSettings(), {"ORAC_USER_TOKEN": text})
    message = str(caught.value)
    assert message.startswith("ORAC_USER_TOKEN ")
    assert why in message
    assert not text or text not in message


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_token_in_a_file_may_end_with_a_line_break(tmp_path, ending):
    file = tmp_path / "token"
    file.write_bytes(f"{ADMIN}{ending}".encode())
    file.chmod(0o444)
    found = places.given({"ORAC_ADMIN_TOKEN_FILE": str(file)}, "ORAC_ADMIN_TOKEN")
    assert found.text == ADMIN


@pytest.mark.parametrize("content", [b"", b"x" * 5000, f"{ADMIN}\n\n".encode(), b"\xff" * 20, None])
def test_a_file_that_holds_no_token_is_named(tmp_path, content):
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        places.given({"ORAC_USER_TOKEN_FILE": str(file)}, "ORAC_USER_TOKEN")
    assert str(file) in str(caught.value)
    assert ADMIN not in str(caught.value)


def test_a_named_pipe_is_no_file_with_a_token(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match="no regular file"):
        places.given({"ORAC_TOKEN_FILE": str(tmp_path / "pipe")}, "ORAC_TOKEN")


def test_a_variable_and_a_file_together_are_refused(tmp_path):
    environ = {"ORAC_ADMIN_TOKEN": ADMIN, "ORAC_ADMIN_TOKEN_FILE": str(tmp_path)}
    with pytest.raises(ConfigurationError, match="both set; unset one"):
        arranged("127.0.0.1", "", ServerSettings(), environ)


def test_one_token_for_both_is_refused():
    environ = {"ORAC_ADMIN_TOKEN": ADMIN, "ORAC_USER_TOKEN": ADMIN}
    with pytest.raises(ConfigurationError, match="the same token") as caught:
        arranged("127.0.0.1", "", ServerSettings(), environ)
    assert ADMIN not in str(caught.value)


def test_a_kept_token_that_others_may_read_is_refused_with_what_to_run(tmp_path):
    places.kept(tmp_path)
    file = tmp_path / "admin-token"
    for mode in (0o640, 0o604, 0o620, 0o666):
        file.chmod(mode)
        with pytest.raises(ConfigurationError, match=f"chmod 600 {file}"):
            places.kept(tmp_path)
        assert places.lying(tmp_path) is None
    file.chmod(0o600)
    assert places.lying(tmp_path).text == places.kept(tmp_path).text


def test_a_kept_token_that_is_damaged_is_named(tmp_path):
    file = tmp_path / "admin-token"
    file.touch(mode=0o600)
    with pytest.raises(ConfigurationError, match=f"the file {file} is empty"):
        places.kept(tmp_path)
    file.unlink()
    file.symlink_to("/etc/hostname")
    with pytest.raises(ConfigurationError, match="set ORAC_ADMIN_TOKEN"):
        places.kept(tmp_path)


def test_without_a_folder_to_keep_it_a_token_has_to_be_given(tmp_path):
    with pytest.raises(ConfigurationError, match="set ORAC_ADMIN_TOKEN"):
        arranged(PUBLIC, "", ServerSettings(), {})
    (tmp_path / "file").touch()
    blocked = {"ORAC_STATE_DIR": str(tmp_path / "file" / "state")}
    with pytest.raises(ConfigurationError, match="set ORAC_ADMIN_TOKEN"):
        arranged(PUBLIC, "", ServerSettings(), blocked)
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigurationError, match="chmod o-w"):
        arranged(PUBLIC, "", ServerSettings(), {"ORAC_STATE_DIR": str(tmp_path)})
