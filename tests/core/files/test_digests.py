"""What files hash to: computed once, given up when nobody waits, remembered over a restart."""

import asyncio
import hashlib
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core import StateDirectory
from orac_core.errors import ModelFileInvalid
from orac_core.files import Hashing, HashProgress, ModelFiles, Place, check
from orac_core.files.digests import Digests
from orac_core.files.ledger import DOCUMENT, MOST, Ledger, key_of, newest
from tests.tiny_models import write
from tests.waiting import until

MIB = 1 << 20


@pytest.fixture
def state(tmp_path):
    return StateDirectory(tmp_path / "state")


@pytest.fixture
def digests(state):
    return Digests(Ledger(state))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3 * MIB + 5))
    return path


@pytest.fixture
def gate(monkeypatch):
    """Holds up every hashing before it begins, and counts them."""
    gate = Gate()
    real = Hashing.run

    def run(hashing):
        gate.begun.append(hashing)
        gate.entered.set()
        assert gate.open.wait(30)
        return real(hashing)

    monkeypatch.setattr(Hashing, "run", run)
    yield gate
    gate.open.set()


class Gate:
    def __init__(self):
        self.open, self.entered, self.begun = threading.Event(), threading.Event(), []

    async def reached(self):
        assert await asyncio.to_thread(self.entered.wait, 30)


def waited(digests):
    return digests._running.values()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5"])
async def test_it_is_the_hash_of_the_files_put_together(digests, file, tmp_path, algorithm):
    other = tmp_path / "other"
    other.write_bytes(b"more")
    whole = file.read_bytes() + b"more"
    progress = HashProgress()
    found = await digests.of([file, other], algorithm, progress)
    assert found == hashlib.new(algorithm, whole).hexdigest()
    assert progress.completed == len(whole)


async def test_many_who_ask_share_one_computation_and_its_progress(digests, file, gate):
    watches = [HashProgress() for _ in range(5)]
    asked = [asyncio.create_task(digests.of([file], "sha256", watch)) for watch in watches]
    await gate.reached()
    gate.open.set()
    assert set(await asyncio.gather(*asked)) == {sha256(file)}
    assert len(gate.begun) == 1
    assert {watch.completed for watch in watches} == {file.stat().st_size}


async def test_one_who_leaves_does_not_stop_it_for_the_others(digests, file, gate):
    leaves, stays = (asyncio.create_task(digests.of([file], "sha256")) for _ in range(2))
    await until(lambda: any(it.waiting == len([leaves, stays]) for it in waited(digests)))
    leaves.cancel()
    await asyncio.wait([leaves])
    gate.open.set()
    assert await stays == sha256(file)
    assert len(gate.begun) == 1


async def test_the_last_who_leaves_stops_it_and_the_next_begins_anew(digests, file, gate):
    asked = asyncio.create_task(digests.of([file], "sha256"))
    await gate.reached()
    asked.cancel()
    await asyncio.wait([asked])
    gate.open.set()
    assert await digests.of([file], "sha256") == sha256(file)
    first, _ = gate.begun
    assert first.completed == 0


async def test_a_file_is_read_once_also_after_a_restart(state, file, gate):
    gate.open.set()
    assert await Digests(Ledger(state)).of([file], "sha256") == sha256(file)
    again = Digests(Ledger(StateDirectory(state.path)))
    progress = HashProgress()
    assert await again.of([file], "sha256", progress) == sha256(file)
    assert progress.completed == 0
    assert len(gate.begun) == 1


async def test_without_a_folder_it_is_remembered_until_the_end(file, gate):
    gate.open.set()
    digests = Digests(Ledger(StateDirectory(None)))
    await digests.of([file], "sha256")
    await digests.of([file], "sha256")
    assert len(gate.begun) == 1


async def test_a_file_that_changes_while_it_is_read_is_refused_and_not_remembered(
    digests, file, gate
):
    asked = asyncio.create_task(digests.of([file], "sha256"))
    await gate.reached()
    before = key_of([file], "sha256")
    file.write_bytes(b"other")
    gate.open.set()
    with pytest.raises(ModelFileInvalid, match="changed while it was being read"):
        await asked
    assert digests.ledger.known(before) is None
    assert await digests.of([file], "sha256") == sha256(file)


async def test_the_event_loop_stays_free_while_many_hash(digests, tmp_path, gate):
    paths = [tmp_path / f"{number}" for number in range(40)]
    for path in paths:
        path.write_bytes(path.name.encode())
    asked = [asyncio.create_task(digests.of([path], "sha256")) for path in paths]
    await gate.reached()
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "a thread is left"), 30)
    gate.open.set()
    assert await asyncio.gather(*asked) == [sha256(path) for path in paths]


async def test_a_file_that_is_gone_or_may_not_be_read_is_named(digests, tmp_path):
    with pytest.raises(ModelFileInvalid, match="the file is gone"):
        await digests.of([tmp_path / "none"], "sha256")
    with pytest.raises(ModelFileInvalid, match="no regular file"):
        await digests.of([tmp_path], "sha256")


def test_the_key_of_many_parts_is_as_short_as_that_of_one(tmp_path):
    paths = [tmp_path / f"{number}" for number in range(200)]
    for path in paths:
        path.touch()
    assert len(key_of(paths, "sha256")) < 120
    assert key_of(paths, "sha256") != key_of(paths[::-1], "sha256")


@given(st.dictionaries(st.text(), st.text()), st.integers(0, 10))
def test_the_newest_are_kept(entries, most):
    kept = newest(entries, most)
    assert list(kept) == list(entries)[max(0, len(entries) - most) :]
    assert all(entries[key] == value for key, value in kept.items())


class TestLedger:
    def test_two_processes_that_learn_forget_nothing_of_each_other(self, state):
        one, two = Ledger(state), Ledger(StateDirectory(state.path))
        assert one.known("a") is two.known("a") is None
        one.learn("a", "1")
        two.learn("b", "2")
        one.learn("c", "3")
        kept = Ledger(state)
        assert [kept.known(key) for key in "abc"] == ["1", "2", "3"]

    def test_nothing_is_written_when_nothing_is_new(self, state):
        ledger = Ledger(state)
        ledger.learn("a", "1")
        document = state.path / f"{DOCUMENT}.json"
        before = document.stat().st_ino
        ledger.learn("a", "1")
        ledger.verified("a", "1", None)
        assert document.stat().st_ino == before

    def test_no_more_than_its_bound_are_kept(self, state):
        state.write(DOCUMENT, {"digests": {str(number): "x" for number in range(MOST)}})
        ledger = Ledger(state)
        ledger.learn("new", "y")
        assert (ledger.known("0"), ledger.known("1"), ledger.known("new")) == (None, "x", "y")

    def test_a_full_ledger_fits_into_a_document(self, state):
        name = "sha256 " + ":".join(str(2**64 - 1) for _ in range(4))
        digests = {f"{name}{number}": "f" * 64 for number in range(MOST)}
        state.write(DOCUMENT, {"digests": digests, "rotten": {}})
        assert state.problem is None

    @pytest.mark.parametrize("kept", [[], {"digests": [1]}, {"digests": {"a": 1}}, {"rotten": 3}])
    def test_what_has_another_shape_is_not_believed(self, state, kept):
        state.write(DOCUMENT, kept)
        assert Ledger(state).known("a") is None

    def test_what_could_not_be_written_is_still_known(self, state):
        Ledger(state).learn("a", "old")
        ledger = Ledger(state)
        assert ledger.known("a") == "old"
        state.path.chmod(0o777)  # which is refused
        ledger.learn("a", "new")
        assert state.problem is not None
        state.path.chmod(0o700)
        ledger.learn("b", "1")
        assert ledger.known("a") == Ledger(state).known("a") == "new"

    def test_other_bytes_under_the_same_state_are_rot_until_they_are_right_again(self, state):
        ledger = Ledger(state)
        ledger.verified("a", "good", None)
        assert (ledger.known("a"), ledger.rotten("a")) == ("good", None)
        ledger.verified("a", "bad", None)
        assert (ledger.known("a"), ledger.rotten("a")) == ("good", "bad")
        assert Ledger(state).rotten("a") == "bad"
        ledger.verified("a", "good", None)
        assert (ledger.known("a"), ledger.rotten("a")) == ("good", None)
        assert Ledger(state).rotten("a") is None

    def test_what_the_manifest_says_counts_more_than_what_is_remembered(self, state):
        ledger = Ledger(state)
        ledger.learn("a", "wrong")
        ledger.verified("a", "right", "right")
        assert (ledger.known("a"), ledger.rotten("a")) == ("right", None)


class TestModels:
    """What is known of the hash shows in the listing, without reading for it."""

    @pytest.fixture
    def folder(self, tmp_path):
        folder = tmp_path / "models"
        folder.mkdir()
        return folder

    def files(self, folder, state=None, **checksums):
        return ModelFiles((Place(folder, "a test"),), checksums, state or StateDirectory(None))

    async def test_a_listing_reads_nothing_and_shows_what_is_known(self, folder, gate):
        path = write(folder, "tiny-phi2")
        files = self.files(folder, **{"tiny-phi2": f"sha256:{sha256(path)}"})
        assert (await files.find("tiny-phi2")).sha256 is None
        assert gate.begun == []
        gate.open.set()
        await files.validate(await files.find("tiny-phi2"))
        assert (await files.find("tiny-phi2")).sha256 == sha256(path)
        path.write_bytes(path.read_bytes())
        assert (await files.find("tiny-phi2")).sha256 is None

    @pytest.mark.parametrize("algorithm", ["sha256", "md5"])
    async def test_a_known_mismatch_is_listed_also_after_a_restart(self, folder, state, algorithm):
        path = write(folder, "tiny-phi2")
        found = hashlib.new(algorithm, path.read_bytes()).hexdigest()
        zeros = {"tiny-phi2": f"{algorithm}:{'0' * len(found)}"}
        files = self.files(folder, state, **zeros)
        assert (await files.find("tiny-phi2")).problem is None
        with pytest.raises(ModelFileInvalid) as refused:
            await files.validate(await files.find("tiny-phi2"))
        for each in (files, self.files(folder, state, **zeros)):
            problem = (await each.find("tiny-phi2")).problem
            assert problem == refused.value.problem
            assert f"checksum {algorithm}: expected 00000000…, found {found[:8]}…" in problem
        assert (await self.files(folder, state).find("tiny-phi2")).problem is None

    async def test_a_mismatch_is_over_when_the_file_changes(self, folder, state):
        write(folder, "tiny-phi2", seed=1)
        right = sha256(folder / "tiny-phi2.gguf")
        path = write(folder, "tiny-phi2")
        files = self.files(folder, state, **{"tiny-phi2": f"sha256:{right}"})
        with pytest.raises(ModelFileInvalid):
            await files.validate(await files.find("tiny-phi2"))
        path.unlink()
        write(folder, "tiny-phi2", seed=1)
        assert (await files.find("tiny-phi2")).problem is None
        await files.validate(await files.find("tiny-phi2"))

    async def test_a_file_that_rotted_is_listed_with_it_and_refused(self, folder, state):
        path = write(folder, "tiny-phi2")
        files = self.files(folder, state)
        files.digests.ledger.learn(key_of([path], "sha256"), "a" * 64)
        files.digests.ledger.verified(key_of([path], "sha256"), "b" * 64, None)
        model = await files.find("tiny-phi2")
        assert "expected aaaaaaaa…, found bbbbbbbb…" in model.problem
        assert "the storage may be failing" in model.problem
        assert model.sha256 is None
        with pytest.raises(ModelFileInvalid, match="the storage may be failing"):
            await files.validate(model)

    async def test_a_checksum_of_no_known_form_is_listed(self, folder):
        write(folder, "tiny-phi2")
        files = self.files(folder, **{"tiny-phi2": "sha512:0"})
        assert "expected sha256:" in (await files.find("tiny-phi2")).problem

    async def test_validation_tells_how_far_it_is_and_reads_once(self, folder, state):
        path = write(folder, "tiny-phi2")
        files = self.files(folder, state, **{"tiny-phi2": f"sha256:{sha256(path)}"})
        first, second = HashProgress(), HashProgress()
        model = await files.find("tiny-phi2")
        await files.validate(model, progress=first)
        await files.validate(model, progress=second)
        assert (first.completed, second.completed) == (path.stat().st_size, 0)

    async def test_one_algorithm_known_does_not_answer_for_another(self, folder):
        path = write(folder, "tiny-phi2")
        files = self.files(folder)
        assert await files.remembered([path]) is None
        assert await files.digest([path]) == sha256(path)
        assert await files.remembered([path]) == sha256(path)
        with pytest.raises(ModelFileInvalid, match="checksum md5"):
            await files.validate(await files.find("tiny-phi2"), "md5:" + "0" * 32)
        check([path], f"sha256:{sha256(path)}")
