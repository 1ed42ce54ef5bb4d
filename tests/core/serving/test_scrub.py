"""Reading model files again: when, how fast, and what is said of storage that rots."""

import asyncio
import hashlib
import logging
import os

import pytest
from attrs import define, field
from hypothesis import example, given
from hypothesis import strategies as st

import orac_core
from orac_core import LoadRequest, ModelFileInvalid, ModelFiles, StateDirectory
from orac_core.files import Place, Trickle, trickle
from orac_core.manifest import parse
from orac_core.serving.scrub import (
    BUSY_S,
    DOCUMENT,
    EVERY_S,
    Pace,
    Scrub,
    next_due,
    rest_s,
    scrubbing,
)
from tests.tiny_models import write
from tests.waiting import until

KEYS = st.sampled_from("abcd")
TIMES = st.floats(0, 1e10)
RATE = 1000.0


@define(eq=False)
class Time:
    """A clock that goes on only while somebody pauses."""

    now: float = 1e9
    pauses: list[float] = field(factory=list)

    def __call__(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    @property
    def pace(self) -> Pace:
        return Pace(RATE, wall=self, clock=self, pause=self.pause)


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def state(tmp_path):
    return StateDirectory(tmp_path / "state")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def reads(monkeypatch):
    """The files that were read, a name for each piece."""
    reads = []
    real = trickle._read

    def read(path, offset):
        piece = real(path, offset)
        if piece:
            reads.append(path.name)
        return piece

    monkeypatch.setattr(trickle, "_read", read)
    return reads


@pytest.fixture
def scrub(folder, state, time):
    return scrub_of(folder, state, time)


def scrub_of(folder, state, time, busy=lambda: False, **checksums):
    files = ModelFiles((Place(folder, "a test"),), checksums, state)
    return Scrub(files, busy, time.pace, state)


def rot(path):
    """Change a byte as a failing disk does: the file looks as it did."""
    found = path.stat()
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@given(st.lists(KEYS, unique=True), st.dictionaries(KEYS, TIMES), TIMES)
@example(["a", "b"], {"a": 1e-9, "b": 0.0}, 16_777_217.0)
def test_what_is_due_was_not_read_within_a_day_and_nothing_waited_longer(keys, read_at, now):
    due = next_due(keys, read_at, now)
    fresh = {key for key in keys if key in read_at and 0 <= now - read_at[key] < EVERY_S}
    if due is None:
        assert fresh == set(keys)
        return
    assert due in set(keys) - fresh
    if due in read_at and read_at[due] <= now:
        assert all(key in read_at for key in keys)
        assert read_at[due] == min(read_at[key] for key in keys)


@given(st.integers(1, 10**9), st.floats(0, 100), st.floats(1, 1e9))
def test_a_piece_and_the_rest_after_it_take_what_the_rate_asks_for(piece, took, rate):
    rest = rest_s(piece, took, rate)
    assert rest >= 0
    assert took + rest == pytest.approx(max(took, piece / rate))


async def test_every_file_is_read_once_a_day(scrub, folder, time, reads):
    write(folder, "tiny-phi2", stem="a")
    write(folder, "tiny-phi2", stem="b", seed=1)
    assert [await scrub.once() for _ in range(3)] == [True, True, False]
    assert reads == ["a.gguf", "b.gguf"]
    time.now += EVERY_S - 1000
    assert not await scrub.once()
    time.now += 1000
    assert await scrub.once()
    assert reads[2:] == ["a.gguf"]


async def test_a_restart_does_not_begin_anew(scrub, folder, state, time, reads):
    write(folder, "tiny-phi2")
    await scrub.once()
    async with scrubbing(scrub_of(folder, StateDirectory(state.path), time)):
        await until(lambda: len(time.pauses) > 5)
    assert len(reads) == 1


async def test_a_file_that_changes_is_read_again_and_one_that_is_gone_is_forgotten(
    scrub, folder, state, time, reads
):
    path = write(folder, "tiny-phi2")
    await scrub.once()
    path.unlink()
    write(folder, "tiny-phi2", seed=1)
    assert await scrub.once()
    assert len(reads) == 2
    time.now += EVERY_S
    assert await scrub.once()
    assert len(state.read(DOCUMENT)) == 1


async def test_a_file_that_comes_back_is_not_read_anew(scrub, folder, tmp_path, reads):
    path = write(folder, "tiny-phi2", stem="a")
    await scrub.once()
    path.rename(tmp_path / "a.gguf")
    write(folder, "tiny-phi2", stem="b", seed=1)
    await scrub.once()
    (tmp_path / "a.gguf").rename(path)
    assert not await scrub.once()
    assert reads == ["a.gguf", "b.gguf"]


async def test_it_reads_no_faster_than_it_may(scrub, folder, time):
    path = write(folder, "tiny-phi2")
    started = time.now
    await scrub.once()
    assert time.now - started == pytest.approx(path.stat().st_size / RATE)


async def test_it_reads_nothing_while_orac_is_busy(folder, state, time, reads):
    write(folder, "tiny-phi2")
    until_now = time.now + 3 * BUSY_S

    def busy():
        assert time.now >= until_now or reads == []
        return time.now < until_now

    await scrub_of(folder, state, time, busy).once()
    assert time.pauses[:3] == [BUSY_S] * 3
    assert len(reads) == 1


async def test_what_it_reads_is_what_the_listing_shows(scrub, folder):
    path = write(folder, "tiny-phi2")
    await scrub.once()
    (model,) = await scrub.files.all()
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert model.problem is None


async def test_rot_is_found_without_a_checksum_said_once_and_the_model_is_refused(
    scrub, folder, time, caplog
):
    path = write(folder, "tiny-phi2")
    await scrub.once()
    rot(path)
    time.now += EVERY_S
    await scrub.once()
    time.now += EVERY_S
    assert not await scrub.once()
    (model,) = await scrub.files.all()
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"found {found[:8]}…" in model.problem
    assert "the storage may be failing" in model.problem
    with pytest.raises(ModelFileInvalid, match="storage"):
        await scrub.files.validate(model)
    (record,) = [each for each in caplog.records if each.name == "orac.scrub"]
    assert model.problem in record.getMessage()


async def test_a_file_of_another_checksum_is_found_before_it_is_loaded(folder, state, time):
    write(folder, "tiny-phi2")
    scrub = scrub_of(folder, state, time, **{"tiny-phi2": "md5:" + "0" * 32})
    await scrub.once()
    (model,) = await scrub.files.all()
    assert "checksum md5: expected 00000000…" in model.problem


async def test_rot_is_over_when_the_file_is_written_anew(scrub, folder, time):
    path = write(folder, "tiny-phi2")
    await scrub.once()
    rot(path)
    time.now += EVERY_S
    await scrub.once()
    path.write_bytes(path.read_bytes())
    (model,) = await scrub.files.all()
    assert model.problem is None


async def test_a_file_that_can_not_be_read_is_said_and_stops_nothing(
    scrub, folder, monkeypatch, caplog
):
    write(folder, "tiny-phi2")
    real = os.pread
    reading: list[int] = []

    def pread(descriptor, count, offset):
        if reading:
            raise OSError(5, "Input/output error")
        return real(descriptor, count, offset)

    monkeypatch.setattr(os, "pread", pread)
    monkeypatch.setattr(trickle, "_is_cached", lambda *_: reading.append(1))
    assert await scrub.once()
    assert "Input/output error" in caplog.text
    assert not await scrub.once()


async def test_a_loaded_model_whose_file_rots_stays_loaded_and_health_says_it(folder, state, time):
    path = write(folder, "tiny-phi2")
    manifest = parse({"backends": {"local": {"kind": "llamacpp"}}}, "a test")
    opening = orac_core.open(manifest, models_dir=folder, state=state, environ={})
    async with opening as manager:
        scrub = Scrub(manager.files, lambda: manager.busy, time.pace, state)
        await scrub.once()
        await manager.load(LoadRequest("tiny-phi2"))
        rot(path)
        time.now += EVERY_S
        await scrub.once()
        health = await manager.health()
        assert health.models_loaded["local/tiny-phi2"]
        assert health.status == "degraded"
        (finding,) = [it for it in health.degradation if it.subject == "local/tiny-phi2"]
        assert finding.text.startswith("it stays loaded, but can not be loaded again: checksum")
        await manager.unload("tiny-phi2")
        with pytest.raises(ModelFileInvalid, match="storage"):
            await manager.load(LoadRequest("tiny-phi2"))


@pytest.mark.parametrize("wanted", [True, False])
async def test_it_runs_when_the_manifest_says_so_and_ends_with_the_manager(folder, state, wanted):
    path = write(folder, "tiny-phi2")
    manifest = parse({"models": {"scrub": wanted, "scrub_mib_per_s": 1000}}, "a test")
    async with orac_core.open(manifest, models_dir=folder, state=state, environ={}) as manager:
        assert ("scrub" in {task.get_name() for task in asyncio.all_tasks()}) == wanted
        if wanted:
            await until(lambda: state.read(DOCUMENT))
            assert await manager.files.remembered([path])
    assert "scrub" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_one_that_breaks_stops_nothing_and_is_said(scrub, caplog, monkeypatch):
    async def broken(_files):
        raise ZeroDivisionError

    monkeypatch.setattr(ModelFiles, "all", broken)
    async with scrubbing(scrub):
        await until(lambda: "scrub" not in {task.get_name() for task in asyncio.all_tasks()})
    assert caplog.records[-1].levelno == logging.ERROR


class TestTrickle:
    def test_it_hashes_files_put_together_piece_by_piece(self, tmp_path, monkeypatch):
        monkeypatch.setattr(trickle, "PIECE_BYTES", 1000)
        paths = [tmp_path / name for name in "abc"]
        for path, size in zip(paths, (2500, 0, 1000), strict=True):
            path.write_bytes(os.urandom(size))
        reading = Trickle(tuple(paths), "sha256")
        counts = list(iter(reading.step, 0))
        assert sum(counts) == 3500
        assert max(counts) <= 1000
        whole = b"".join(path.read_bytes() for path in paths)
        assert reading.digest == hashlib.sha256(whole).hexdigest()

    @pytest.mark.parametrize("cached", [True, False])
    def test_the_page_cache_has_afterwards_what_it_had_before(self, tmp_path, monkeypatch, cached):
        told = []
        monkeypatch.setattr(trickle, "PIECE_BYTES", 1000)
        monkeypatch.setattr(trickle, "_is_cached", lambda *_: cached)
        monkeypatch.setattr(os, "posix_fadvise", lambda _, *advice: told.append(advice))
        path = tmp_path / "a"
        path.write_bytes(bytes(1500))
        reading = Trickle((path,), "md5")
        assert list(iter(reading.step, 0)) == [1000, 500]
        dropped = [it[:2] for it in told if it[2] == os.POSIX_FADV_DONTNEED]
        assert dropped == ([] if cached else [(0, 1000), (1000, 500)])
