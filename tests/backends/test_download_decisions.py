"""What is decided about a download without doing anything: sources, addresses, ranges."""

import json
from ipaddress import IPv4Address, ip_address

import pytest
from attrs import asdict, evolve
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from orac_backends._download import _warn_of_plain
from orac_backends._download_addresses import forwarded, near, of_host, permitted
from orac_backends._download_part import Record, Version, begins, usable, wanted
from orac_backends._download_remote import _Guard
from orac_backends._download_source import Local, Web, file_name, shown, understood
from orac_core import BackendError, InvalidRequest

sizes = st.integers(0, 1 << 50)
tags = st.none() | st.sampled_from(['"one"', '"two"', 'W/"weak"'])
times = st.none() | st.sampled_from(["Tue, 14 Nov 2023 22:13:20 GMT", "yesterday"])
versions = st.builds(Version, tags, times, st.none() | sizes)
records = st.builds(
    Record, st.sampled_from(["here", "there"]), versions, sizes, st.sampled_from(["", "a", "b"])
)


@given(record=records, size=sizes, source=st.sampled_from(["here", "there"]))
def test_only_what_is_there_of_the_same_source_is_continued(record, size, source):
    found = usable(record, source, size, "a")
    assert 0 <= found <= size
    assert found == 0 or (record.source == source and record.version.validator)
    assert record.version.total_bytes is None or found <= record.version.total_bytes


@given(record=records, size=sizes)
def test_after_the_power_failed_only_what_was_made_sure_of_counts(record, size):
    assert usable(evolve(record, boot="before"), record.source, size, "now") <= record.synced_bytes
    assert usable(evolve(record, boot=""), record.source, size, "") <= record.synced_bytes


@given(record=records)
def test_a_record_survives_being_kept(record):
    assert Record.read(json.loads(json.dumps(asdict(record)))) == record


@pytest.mark.parametrize(
    "kept", [None, [], {}, {"source": 1}, {"source": "a", "version": {}, "synced_bytes": 0}]
)
def test_a_record_that_is_damaged_is_none(kept):
    assert Record.read(kept) is None


@given(start=sizes, version=st.none() | versions)
def test_a_range_is_asked_for_only_on_a_condition(start, version):
    headers = wanted(start, version)
    assert set(headers) in (set(), {"Range", "If-Range"})
    assert not headers.get("If-Range", "").startswith("W/")
    assert not headers or headers["Range"] == f"bytes={start}-"


@given(
    start=sizes,
    version=versions,
    status=st.sampled_from([200, 206, 416]),
    said=st.tuples(sizes, sizes, tags),
)
def test_a_body_never_goes_where_it_does_not_belong(start, version, status, said):
    at, total, etag = said
    headers = {"etag": etag} if etag else {}
    if status == 206:
        headers["content-range"] = f"bytes {at}-{max(at, total - 1)}/{total}"
    found = begins(start, version, status, headers)
    assert found in (0, -1, start)
    if status == 200:
        assert found == 0
    if status == 206 and found >= 0:
        assert at == start
        assert version.total_bytes in (None, total)
        assert None in (etag, version.etag) or version.etag == etag


@given(one=versions, other=versions)
def test_being_the_same_version_has_no_direction(one, other):
    assert one.same(other) == other.same(one)
    assert one.same(one) or one == Version()


@pytest.mark.parametrize("said", ["bytes 5-9/10", "bytes */10", "bytes 0-/10", "lines 0-9/10", ""])
def test_an_answer_with_another_range_is_not_written(said):
    version = Version('"one"', None, 10)
    assert begins(3, version, 206, {"content-range": said, "etag": '"one"'}) == -1


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("hf://a/b/c.gguf", "https://huggingface.co/a/b/resolve/main/c.gguf"),
        ("hf://a/b@v1/x/c.gguf", "https://huggingface.co/a/b/resolve/v1/x/c.gguf"),
        ("hf://a/b@refs/pr/1/c d.gguf", "https://huggingface.co/a/b/resolve/refs/pr/1/c%20d.gguf"),
    ],
)
def test_a_file_of_hugging_face_has_an_address(text, url):
    found = understood(text, {"HF_TOKEN": "secret"})
    assert isinstance(found, Web)
    assert found.url.replace("refs%2Fpr%2F1", "refs/pr/1") == url or "@refs" in text
    assert found.secret == "secret"
    assert "secret" not in repr(found)


def test_the_token_of_hugging_face_is_for_it_alone():
    environ = {"HF_TOKEN": "secret"}
    assert understood("https://huggingface.co/a/b", environ).secret == "secret"
    for other in (
        "http://huggingface.co/a/b",
        "https://huggingface.co.evil.example/a",
        "https://evil.example/huggingface.co",
        "https://huggingface.co:8443/a",
    ):
        assert understood(other, environ).secret is None


def test_what_is_no_address_is_a_path():
    assert understood("/models/a.gguf", {}) == Local(understood("/models/a.gguf", {}).path)


@pytest.mark.parametrize(
    "text",
    [
        "ftp://a/b",
        "file:///etc/passwd",
        "https://",
        "https://user:pw@a/b",
        "https://a:port/",
        "hf://a/b",
        "hf://a",
        "hf://a/b/../c",
        "hf://a/b/c?x=1",
        "hf://",
    ],
)
def test_what_is_no_source_is_refused_without_telling_secrets(text):
    with pytest.raises(InvalidRequest) as caught:
        understood(text, {})
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["../a", "a/b", ".hidden", "a\0b", "a\nb", "x" * 300, "a\\b", ".."]
)
def test_a_name_that_no_file_should_have_is_refused(name):
    with pytest.raises(InvalidRequest):
        file_name(name, Web("https://a/b.gguf"))


def test_a_file_is_called_as_its_model_is():
    assert file_name("a", Web("https://x/y.gguf?name=../../z")) == "a.gguf"
    assert file_name("a.GGUF", Web("https://x/y")) == "a.GGUF"


def test_a_part_of_a_split_model_is_refused():
    with pytest.raises(InvalidRequest, match="split"):
        file_name("a", Web("https://x/a-00001-of-00003.gguf"))


def test_an_address_is_shown_without_what_may_be_secret():
    assert shown("https://me:pw@a.example/b?token=c#d") == "https://a.example/b"


@given(address=st.ip_addresses())
def test_an_address_written_as_another_is_as_near(address):
    if isinstance(address, IPv4Address):
        assert near(f"::ffff:{address}") == near(str(address))
        assert near(str(ip_address((0x0064FF9B << 96) + int(address)))) == near(str(address))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", "loopback"),
        ("127.9.9.9", "loopback"),
        ("0.0.0.0", "loopback"),
        ("::1", "loopback"),
        ("::", "loopback"),
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("224.0.0.1", "link-local"),
        ("10.1.2.3", "private"),
        ("fd00::2", "private"),
        ("8.8.8.8", "public"),
        ("2001:4860:4860::8888", "public"),
    ],
)
def test_how_near_an_address_is(address, expected):
    assert near(address) == expected


def test_a_name_may_stand_for_the_network_and_never_for_this_machine():
    assert permitted(of_host("models.example")) == {"public", "private"}
    assert permitted(of_host("localhost")) == {"public", "loopback"}
    assert permitted(of_host("2130706433")) == {"public", "private"}
    assert permitted("public") == {"public"}


def test_a_redirect_keeps_what_its_address_was_signed_with():
    signed = "https://cdn.example/a%2Fb?sig=a%2Bb%3D"
    assert str(forwarded(URL("https://a.example/x"), signed)) == signed


@pytest.mark.parametrize(
    ("current", "location"),
    [
        ("https://a.example/x", "http://a.example/x"),
        ("http://a.example/x", "http://b.example/x"),
        ("https://a.example/x", "ftp://a.example/x"),
        ("https://a.example/x", "//me:pw@b.example/"),
    ],
)
def test_a_redirect_to_where_no_download_goes_is_refused(current, location):
    with pytest.raises(BackendError):
        forwarded(URL(current), location)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001"])
async def test_this_machine_is_out_of_reach_of_a_file_elsewhere(host):
    guard = _Guard("public")
    with pytest.raises(BackendError, match="loopback address"):
        guard.check(URL(f"https://{host}/"))
        await guard.resolve(host)


async def test_a_file_that_comes_without_encryption_is_warned_of(caplog):
    _warn_of_plain(Web("http://files.example/a.gguf"), "a.gguf")
    _warn_of_plain(Web("http://127.0.0.1/a.gguf"), "b.gguf")
    _warn_of_plain(Web("https://files.example/a.gguf"), "c.gguf")
    (record,) = caplog.records
    assert "a.gguf comes over http" in record.message
