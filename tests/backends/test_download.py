"""Fetching files from a real server, which breaks, changes its mind and lies."""

import asyncio
import errno
import fcntl
import hashlib
import json
import os
import threading
from contextlib import aclosing
from types import SimpleNamespace

import pytest

from orac_backends._download import Patience
from orac_backends._download_file import PartFile, part_of
from orac_backends._fetching import Fetching
from orac_core import (
    BackendError,
    BackendUnavailable,
    Host,
    InvalidRequest,
    ModelFileInvalid,
    ModelFiles,
    PullRequest,
)
from orac_core.files import Place
from tests.backends.file_server import FileServer, model, serving
from tests.waiting import until

MIB = 1 << 20
AT_ONCE = Patience(attempts=3, first_s=0.001, longest_s=0.001, poll_s=0.001)


@pytest.fixture
async def server():
    async with serving(FileServer()) as running:
        yield running


@pytest.fixture
def folder(tmp_path):
    return tmp_path


@pytest.fixture
def fetch(folder):
    """Fetches a file, and returns all progress that was told."""

    async def fetched(source, *, checksum=None, force=False, name="small", environ=None):
        files = ModelFiles((Place(folder, "test"),), {name: checksum} if checksum else {})
        fetching = Fetching(Host(files, environ or {}), AT_ONCE)
        request = PullRequest(name, str(source) if source else None, checksum, force)
        async with aclosing(fetching.pull(request)) as stages:
            return [each async for each in stages]

    return fetched


def sha256(body):
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def leftovers(folder):
    return sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))


async def test_a_file_is_downloaded_checked_and_put_in_its_place(server, fetch, folder):
    told = await fetch(server.url(), checksum=sha256(server.body))
    assert told[-1].action == "downloaded"
    assert not [each for each in told if "another process" in each.message]
    assert told[-1].fetched_bytes == told[-1].completed == len(server.body)
    assert (folder / "small.gguf").read_bytes() == server.body
    assert leftovers(folder) == ["small.gguf"]


async def test_what_is_here_is_not_asked_for(server, fetch, folder):
    (folder / "small.gguf").write_bytes(server.body)
    assert [each.action for each in await fetch(server.url())] == ["present"]
    assert server.sent == []


async def test_a_connection_that_breaks_is_continued_where_it_broke(server, fetch, folder):
    server.cuts = [MIB + 5, MIB, None]
    await fetch(server.url(), checksum=sha256(server.body))
    assert server.starts == [0, MIB + 5, 2 * MIB + 5]
    assert server.bytes_sent == len(server.body)
    assert server.sent[1].headers["if-range"] == '"one"'
    assert (folder / "small.gguf").read_bytes() == server.body


async def test_what_another_process_left_is_continued(server, fetch):
    server.cuts = [2 * MIB] + [0] * 3
    with pytest.raises(BackendUnavailable, match="broke"):
        await fetch(server.url())
    server.cuts.clear()
    told = await fetch(server.url(), checksum=sha256(server.body))
    assert told[-1].fetched_bytes == len(server.body) - 2 * MIB
    assert server.bytes_sent == len(server.body)


async def test_a_server_without_ranges_is_asked_for_all_again(server, fetch, folder):
    server.ranges, server.cuts = False, [2 * MIB, None]
    await fetch(server.url(), checksum=sha256(server.body))
    assert (folder / "small.gguf").read_bytes() == server.body


async def test_a_server_without_ranges_that_always_breaks_is_given_up(server, fetch):
    server.ranges, server.cuts = False, [2 * MIB] * 20
    with pytest.raises(BackendUnavailable):
        await fetch(server.url())
    assert len(server.sent) <= 1 + AT_ONCE.attempts


async def test_a_file_that_changed_meanwhile_is_fetched_anew(server, fetch, folder):
    server.cuts = [2 * MIB] + [0] * 3
    with pytest.raises(BackendUnavailable):
        await fetch(server.url())
    server.cuts.clear()
    server.body, server.etag, server.modified = model(seed=7), '"two"', None
    await fetch(server.url())
    assert (folder / "small.gguf").read_bytes() == server.body


async def test_a_part_longer_than_the_file_now_is_fetched_anew(server, fetch, folder):
    server.cuts = [2 * MIB] + [0] * 3
    with pytest.raises(BackendUnavailable):
        await fetch(server.url())
    server.cuts.clear()
    server.body = model(MIB)
    await fetch(server.url())
    assert (folder / "small.gguf").read_bytes() == server.body


async def test_a_length_that_is_not_told_is_no_hindrance(server, fetch, folder):
    server.length, server.cuts = False, [2 * MIB, None]
    await fetch(server.url(), checksum=sha256(server.body))
    assert (folder / "small.gguf").read_bytes() == server.body


async def test_a_wrong_checksum_leaves_nothing(server, fetch, folder):
    with pytest.raises(ModelFileInvalid, match="not what the manifest wants"):
        await fetch(server.url(), checksum=f"sha256:{'0' * 64}")
    assert leftovers(folder) == []


async def test_what_is_no_model_gets_no_name(server, fetch, folder):
    server.body = b"<!doctype html><title>Sign in</title>" * 100
    with pytest.raises(ModelFileInvalid, match="HTML page"):
        await fetch(server.url())
    assert leftovers(folder) == []


async def test_a_part_that_rotted_is_fetched_anew_once(server, fetch, folder):
    server.cuts = [2 * MIB] + [0] * 3
    with pytest.raises(BackendUnavailable):
        await fetch(server.url())
    server.cuts.clear()
    part = folder / "small.gguf.part"
    part.write_bytes(part.read_bytes()[:-1] + b"\xff")
    await fetch(server.url(), checksum=sha256(server.body))
    assert (folder / "small.gguf").read_bytes() == server.body
    assert server.starts[-2:] == [2 * MIB, 0]


@pytest.mark.parametrize(
    ("status", "message"),
    [(404, "no such file"), (401, "HF_TOKEN"), (403, "HF_TOKEN"), (204, "no file")],
)
async def test_a_refusal_is_told_and_not_tried_again(server, fetch, folder, status, message):
    server.statuses = {"/file.gguf": [status] * 5}
    with pytest.raises(BackendError, match=message):
        await fetch(server.url())
    assert len(server.sent) == 1
    assert leftovers(folder) == []


async def test_a_server_that_is_busy_is_asked_again(server, fetch):
    server.statuses = {"/file.gguf": [503, 429]}
    assert (await fetch(server.url()))[-1].action == "downloaded"


async def test_a_redirect_is_followed(server, fetch):
    server.redirects = {"/file.gguf": "/other?signature=a%2Fb"}
    await fetch(server.url())
    assert [each.path for each in server.sent] == ["/file.gguf", "/other"]


async def test_redirects_without_end_are_refused(server, fetch):
    server.redirects = {"/file.gguf": "/file.gguf"}
    with pytest.raises(BackendError, match="more than 5 times"):
        await fetch(server.url())
    assert len(server.sent) == 6


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/latest/meta-data",
        "https://[fe80::1]/",
        "https://10.0.0.1/",
        "http://elsewhere.example/file.gguf",
        "https://user:password@elsewhere.example/file.gguf",
        "file:///etc/passwd",
        "",
    ],
)
async def test_a_redirect_that_leads_astray_is_refused(server, fetch, location):
    server.redirects = {"/file.gguf": location}
    server.statuses = {} if location else {"/file.gguf": [302]}
    with pytest.raises(BackendError) as caught:
        await fetch(server.url())
    assert "password" not in str(caught.value).replace("a name and password", "")


async def test_a_name_that_stands_for_this_machine_is_refused(server, fetch, monkeypatch):
    resolved = asyncio.get_running_loop().getaddrinfo

    async def rebound(host, *args, **options):
        return await resolved("127.0.0.1" if host == "files.example" else host, *args, **options)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebound)
    with pytest.raises(BackendError, match="loopback address"):
        await fetch(server.url(host="files.example"))
    assert server.sent == []


async def test_after_the_power_failed_only_what_was_made_sure_of_is_kept(server, fetch, folder):
    server.cuts = [2 * MIB] + [0] * 3
    with pytest.raises(BackendUnavailable):
        await fetch(server.url())
    server.cuts.clear()
    kept = folder / "small.gguf.part.json"
    record = json.loads(kept.read_text())
    kept.write_text(json.dumps({**record, "boot": "another", "synced_bytes": MIB}))
    await fetch(server.url(), checksum=sha256(server.body))
    assert server.starts[-1] == MIB
    assert (folder / "small.gguf").read_bytes() == server.body


async def test_a_link_in_the_place_of_a_part_is_not_followed(server, fetch, folder):
    other = folder / "precious"
    other.write_text("precious")
    (folder / "small.gguf.part").symlink_to(other)
    with pytest.raises(BackendError, match="can not be written"):
        await fetch(server.url())
    assert other.read_text() == "precious"


async def test_a_secret_goes_to_its_server_alone(server, fetch, monkeypatch):
    monkeypatch.setattr("orac_backends._download_source.HUB", server.url(""))
    server.redirects = {"/a/b/resolve/main/file.gguf": "/elsewhere"}
    await fetch("hf://a/b/file.gguf", environ={"HF_TOKEN": "hf_secret"})
    first, second = server.sent
    assert first.headers["authorization"] == "Bearer hf_secret"
    assert "authorization" not in second.headers


async def test_no_secret_goes_to_another_server(server, fetch):
    await fetch(server.url(), environ={"HF_TOKEN": "hf_secret"})
    assert "authorization" not in server.sent[0].headers


async def test_too_little_disk_is_told_before_the_work(server, fetch, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10 * MIB))
    with pytest.raises(BackendError, match="free some"):
        await fetch(server.url())


async def test_a_disk_that_fills_up_keeps_what_came(server, fetch, folder, monkeypatch):
    written: list[int] = []
    real = os.pwrite

    def pwrite(descriptor, data, offset):
        if written and sum(written) >= MIB:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(real(descriptor, data, offset))
        return written[-1]

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", pwrite)
        with pytest.raises(BackendError, match="is full; free some"):
            await fetch(server.url())
    kept = part_of(folder / "small.gguf").stat().st_size
    await fetch(server.url(), checksum=sha256(server.body))
    assert kept >= MIB
    assert server.starts == [0, kept]


async def test_the_system_s_own_full_device_is_told(server, fetch, folder, monkeypatch):
    full = os.open("/dev/full", os.O_RDWR)
    monkeypatch.setattr(os, "pwrite", lambda _, data, __: os.write(full, data))
    with pytest.raises(BackendError, match="is full; free some"):
        await fetch(server.url())
    os.close(full)


async def test_two_who_fetch_one_file_take_turns(server, fetch, folder):
    part = os.open(folder / "small.gguf.part", os.O_RDWR | os.O_CREAT)
    fcntl.flock(part, fcntl.LOCK_EX)
    waiting = asyncio.create_task(fetch(server.url()))
    await asyncio.sleep(0)
    assert server.sent == []
    os.close(part)
    assert (await waiting)[-1].action == "downloaded"


async def test_a_download_that_is_left_lets_go_of_its_file(server, fetch, folder):
    server.cuts, server.hold = [2 * MIB], True
    leaving = asyncio.create_task(fetch(server.url()))
    part = folder / "small.gguf.part"
    await until(lambda: part.exists() and part.stat().st_size >= MIB)
    leaving.cancel()
    await asyncio.wait([leaving])
    server.hold, server.cuts = False, []
    server.released.set()
    assert (await fetch(server.url()))[-1].action == "downloaded"
    assert server.starts[1] > 0


async def test_who_leaves_while_the_file_is_opened_does_not_keep_it(server, fetch, monkeypatch):
    gate, reached, real = threading.Event(), threading.Event(), PartFile.open

    def slow(*arguments):
        reached.set()
        gate.wait(10)
        return real(*arguments)

    with monkeypatch.context() as slowly:
        slowly.setattr(PartFile, "open", slow)
        leaving = asyncio.create_task(fetch(server.url()))
        await until(reached.is_set)
        leaving.cancel()
        await asyncio.wait([leaving])
        gate.set()
    assert (await fetch(server.url()))[-1].action == "downloaded"


async def test_force_leaves_a_file_that_its_server_still_has(server, fetch):
    await fetch(server.url())
    assert (await fetch(server.url(), force=True))[-1].action == "present"
    assert server.sent[-1].status == 304


async def test_force_fetches_a_file_that_its_server_has_changed(server, fetch, folder):
    await fetch(server.url())
    server.body, server.etag = model(seed=3), '"two"'
    assert (await fetch(server.url(), force=True))[-1].action == "downloaded"
    assert (folder / "small.gguf").read_bytes() == server.body


async def test_force_reads_a_file_that_has_a_checksum_and_asks_nobody(server, fetch, folder):
    checksum = sha256(server.body)
    await fetch(server.url(), checksum=checksum)
    asked = len(server.sent)
    assert (await fetch(server.url(), checksum=checksum, force=True))[-1].action == "present"
    assert len(server.sent) == asked


async def test_force_replaces_a_file_that_is_not_what_it_should_be(server, fetch, folder):
    (folder / "small.gguf").write_bytes(model(seed=9))
    told = await fetch(server.url(), checksum=sha256(server.body), force=True)
    assert told[-1].action == "downloaded"
    assert (folder / "small.gguf").read_bytes() == server.body


async def test_a_file_of_this_machine_is_linked(fetch, folder, tmp_path_factory):
    source = tmp_path_factory.mktemp("source") / "any.gguf"
    source.write_bytes(model())
    told = await fetch(source, checksum=sha256(model()))
    assert told[-1].action == "imported"
    assert told[-1].fetched_bytes == 0
    assert (folder / "small.gguf").samefile(source)


async def test_a_file_on_another_disk_is_copied(fetch, folder, tmp_path_factory, monkeypatch):
    source = tmp_path_factory.mktemp("source") / "any.gguf"
    source.write_bytes(model())
    monkeypatch.setattr("orac_backends._fetching.linked", lambda *_: False)
    told = await fetch(source)
    assert (told[-1].action, told[-1].fetched_bytes) == ("imported", len(model()))
    assert (folder / "small.gguf").read_bytes() == model()


async def test_a_source_that_is_not_there_is_told(fetch, folder):
    with pytest.raises(ModelFileInvalid, match="gone"):
        await fetch(folder / "nowhere.gguf")


async def test_without_a_source_nothing_can_be_fetched(fetch):
    with pytest.raises(InvalidRequest, match="give it a `source`"):
        await fetch(None)


async def test_a_folder_that_cannot_be_written_to_is_no_place(server, fetch, folder, monkeypatch):
    monkeypatch.setattr("orac_backends._fetching.os.access", lambda *_: False)
    with pytest.raises(BackendError, match=r"models\.downloads"):
        await fetch(server.url())


async def test_the_folder_of_the_manifest_is_made(server, tmp_path):
    folder = tmp_path / "new" / "downloads"
    host = Host(ModelFiles((Place(folder, "test"),)), {}, folder)
    async with aclosing(Fetching(host, AT_ONCE).pull(PullRequest("small", server.url()))) as it:
        told = [each async for each in it]
    assert told[-1].action == "downloaded"
    assert (folder / "small.gguf").is_file()
