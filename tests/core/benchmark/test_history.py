"""Benchmarks are kept over a restart, and nothing breaks because they can not be."""

import asyncio
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from attrs import evolve

from orac_core import BenchmarkNotFound, QueueFull, StateDirectory
from orac_core.benchmark import history as history_module
from orac_core.benchmark import schema
from orac_core.benchmark.database import Database
from orac_core.benchmark.history import FILE, History
from orac_core.benchmark.store import Store
from tests.core.benchmark.reports import broken, id_of, report
from tests.waiting import until

ROOT = Path(__file__).parents[3]
SEVERAL = 5


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state"


@pytest.fixture
async def history(folder):
    async with History.of(StateDirectory(folder)) as opened:
        yield opened


@pytest.fixture
async def filled(history):
    for number in range(SEVERAL):
        assert await history.add(report({f"local/m{number % 2}": [40.0, 41.0]}, number=number))
    return history


def database(folder):
    return folder / FILE


def ids(entries):
    return [entry.id for entry in entries]


async def test_what_was_kept_is_there_after_a_restart(folder):
    async with History.of(StateDirectory(folder)) as first:
        assert await first.add(report())
    async with History.of(StateDirectory(folder)) as second:
        assert await second.get(report().id) == report()
        assert second.problem is None


async def test_reading_makes_no_file(history, folder):
    assert await history.list() == ()
    assert await history.prune(1) == 0
    with pytest.raises(BenchmarkNotFound, match="none has been kept"):
        await history.get("latest")
    assert (history.problem, folder.exists()) == (None, False)


async def test_without_a_folder_nothing_is_kept_and_nothing_is_wrong():
    async with History.of(StateDirectory(None)) as nowhere:
        assert not await nowhere.add(report())
        assert (await nowhere.list(), nowhere.problem) == ((), None)


async def test_only_its_owner_may_look(filled, folder):
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("latest", 4),
        ("latest~0", 4),
        ("latest~1", 3),
        ("latest~4", 0),
        (id_of(2), 2),
        (id_of(2)[:16], 2),
    ],
)
async def test_a_report_is_named_by_its_id_its_beginning_or_its_age(filled, name, number):
    assert (await filled.get(name)).id == id_of(number)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("2026", "5 begin like that; give more"),
        ("", "latest"),
        ("x", "latest"),
        ("%", "latest"),
        ("_" * 22, "latest"),
        ("a\0b", "latest"),
        ("\ud800", "latest"),
        ("x" * 10_000, "latest"),
        ("latest~5", "5 are kept"),
        ("latest~-1", "latest~1"),
        ("latest~x", "latest~1"),
        ("latest~" + "9" * 100, "latest~1"),
        ("latest~²", "latest~1"),
    ],
)
async def test_a_name_that_means_none_or_several_is_told(filled, name, why):
    with pytest.raises(BenchmarkNotFound, match=why) as caught:
        await filled.get(name)
    assert len(str(caught.value)) < 250


async def test_an_id_that_another_begins_with_is_still_found(filled):
    await filled.add(report(id=f"{id_of(2)}x"))
    assert (await filled.get(id_of(2))).id == id_of(2)


async def test_the_newest_are_listed_first(filled):
    assert ids(await filled.list()) == [id_of(number) for number in (4, 3, 2, 1, 0)]
    assert ids(await filled.list(2)) == [id_of(4), id_of(3)]
    assert ids(await filled.list(2, before=id_of(3))) == [id_of(2), id_of(1)]
    assert ids(await filled.list(before="latest~4")) == []
    assert await filled.list(0) == await filled.list(-1) == ()
    with pytest.raises(BenchmarkNotFound):
        await filled.list(before="never")


async def test_one_that_came_later_is_newer_whatever_the_clock_said(filled):
    await filled.add(report(id="19700101T000012Z-000000", started_at=12.0))
    assert (await filled.get("latest")).started_at == 12.0


@pytest.mark.parametrize("name", ["local/m1", "m1", report({"local/m1": [1.0]}).results[0]])
async def test_a_listing_can_be_of_one_model(filled, name):
    name = name if isinstance(name, str) else name.subject.sha256
    assert ids(await filled.list(model=name)) == [id_of(3), id_of(1)]
    assert ids(await filled.list(1, model=name, before=id_of(3))) == [id_of(1)]
    assert await filled.list(model="other") == ()


async def test_a_listing_shows_what_each_model_came_to(history):
    whole = report({"local/a": [40.0, 42.0, 41.0]})
    await history.add(evolve(whole, results=(*whole.results, broken())))
    (entry,) = await history.list()
    one, other = entry.lines
    assert (entry.suite, entry.ended, entry.started_at) == ("full", "completed", whole.started_at)
    assert (one.model, one.workload, one.score) == ("local/a", "pp512+tg128", 75.0)
    assert one.decode_tokens_per_second == 41.0
    assert one.latency_s == whole.results[0].headline.latency_s.p50
    assert one.gross_j_per_token > 0
    assert (other.model, other.latency_s, other.error) == ("local/broken", None, broken().error)


async def test_a_run_without_results_is_listed(history):
    await history.add(report(results=(), samples=(), ended="cancelled"))
    (entry,) = await history.list()
    assert (entry.lines, entry.ended) == ((), "cancelled")


async def test_the_same_id_again_takes_the_place_of_the_first(history):
    await history.add(report())
    await history.add(report({"local/other": [1.0]}))
    (entry,) = await history.list()
    assert [line.model for line in entry.lines] == ["local/other"]


async def test_hostile_text_is_kept_as_text(history):
    name = "local/'); DROP TABLE report; -- \ud800\0<b>"
    await history.add(report({name: [1.0]}))
    assert (await history.get("latest")).results[0].subject.model == name
    assert len(await history.list()) == 1


async def test_the_oldest_are_forgotten_above_the_number(folder):
    async with History.of(StateDirectory(folder), most_reports=3) as small:
        for number in range(SEVERAL):
            await small.add(report(number=number))
        assert ids(await small.list()) == [id_of(4), id_of(3), id_of(2)]


async def test_the_oldest_are_forgotten_above_the_size_and_the_newest_stays(folder):
    large = random.Random(1).randbytes(300_000).hex()
    async with History.of(StateDirectory(folder), most_bytes=500_000) as small:
        for number in range(SEVERAL):
            assert await small.add(report(number=number, host={"x": large}))
        assert ids(await small.list()) == [id_of(4)]
    assert database(folder).stat().st_size < 1_000_000


async def test_pruning_keeps_the_newest_and_says_how_many_went(filled):
    assert await filled.prune(2) == 3
    assert ids(await filled.list()) == [id_of(4), id_of(3)]
    assert await filled.prune(0) == 1
    assert await filled.prune(0) == 0


async def test_one_who_is_cancelled_leaves_and_the_report_is_kept(history):
    gate = held(history)
    task = asyncio.create_task(history.add(report()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    assert (await history.get("latest")) == report()


async def test_it_can_be_kept_in_the_middle_of_a_cancellation(history):
    async def run():
        try:
            await asyncio.Event().wait()
        finally:
            assert history.add_now(report())

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await history.get("latest")) == report()


async def test_keeping_now_gives_up_waiting_and_it_is_kept_later(history, monkeypatch):
    gate = held(history)
    monkeypatch.setattr(history_module, "ADD_NOW_S", 0.01)
    assert not history.add_now(report())
    gate.set()
    assert (await history.get("latest")) == report()


async def test_the_loop_goes_on_and_too_many_readers_are_sent_away(history, monkeypatch):
    gate = held(history)
    adding = asyncio.create_task(history.add(report()))
    monkeypatch.setattr(history_module, "MOST_WAITING", 2)
    readers = [asyncio.create_task(history.list()) for _ in range(3)]
    await until(readers[-1].done)
    with pytest.raises(QueueFull):
        readers[-1].result()
    assert not adding.done()
    gate.set()
    assert [len(await reader) for reader in readers[:-1]] == [1, 1]
    assert len(await history.list()) == 1


def held(history):
    """Keep the writer from going on until the gate is set."""
    gate = threading.Event()
    history._executor.submit(gate.wait, 10)
    return gate


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.write_bytes(b"no database at all" * 100),
        lambda file: file.write_bytes(file.read_bytes()[:4096]),
        lambda file: file.write_bytes(file.read_bytes()[:100] + b"\xff" * 8000),
    ],
    ids=["other", "cut", "overwritten"],
)
@pytest.mark.parametrize("first", ["list", "add"])
async def test_a_damaged_file_is_put_aside_and_a_new_one_begun(folder, caplog, spoil, first):
    async with History.of(StateDirectory(folder)) as before:
        await before.add(report())
    spoil(database(folder))
    spoilt = database(folder).read_bytes()
    async with History.of(StateDirectory(folder)) as after:
        if first == "list":
            assert await after.list() == ()
        assert await after.add(report(number=2))
        assert ids(await after.list()) == [id_of(2)]
        assert after.problem is None
    assert database(folder).with_name(f"{FILE}.broken").read_bytes() == spoilt
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("orac.history", logging.WARNING)
    assert f"{FILE}.broken" in record.getMessage()


async def test_an_empty_file_is_a_history_without_benchmarks(history, folder):
    folder.mkdir(mode=0o700)
    database(folder).touch()
    assert await history.list() == ()
    assert await history.add(report())


async def test_one_damaged_report_does_not_hide_the_others(filled, folder):
    with sqlite3.connect(database(folder)) as other:
        other.execute("UPDATE report SET document = x'00' WHERE id = ?", (id_of(4),))
    other.close()
    with pytest.raises(BenchmarkNotFound, match="damaged"):
        await filled.get("latest")
    assert (await filled.get("latest~1")).id == id_of(3)
    assert len(await filled.list()) == SEVERAL


async def test_a_file_of_a_newer_version_is_left_alone(folder, caplog):
    async with History.of(StateDirectory(folder)) as before:
        await before.add(report())
    with sqlite3.connect(database(folder)) as newer:
        newer.execute("PRAGMA user_version = 7")
    newer.close()
    contents = database(folder).read_bytes()
    async with History.of(StateDirectory(folder)) as older:
        assert await older.list() == ()
        assert not await older.add(report(number=2))
        assert "newer ORAC wrote it (version 7, and this one knows 1); update" in older.problem
        with pytest.raises(BenchmarkNotFound, match="newer ORAC"):
            await older.get("latest")
    assert database(folder).read_bytes() == contents
    assert len(caplog.records) == 1


async def test_the_file_of_another_program_is_left_alone(history, folder):
    folder.mkdir(mode=0o700)
    with sqlite3.connect(database(folder)) as other:
        other.execute("CREATE TABLE report (id)")
    other.close()
    contents = database(folder).read_bytes()
    assert not await history.add(report())
    assert "another program" in history.problem
    assert database(folder).read_bytes() == contents


async def test_tables_of_an_older_version_become_the_present_ones(folder, monkeypatch):
    async with History.of(StateDirectory(folder)) as before:
        await before.add(report())
    step = "ALTER TABLE report ADD COLUMN note TEXT"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
    async with History.of(StateDirectory(folder)) as after:
        assert await after.get("latest") == report()
        assert await after.add(report(number=2))
    with sqlite3.connect(database(folder)) as seen:
        assert seen.execute("SELECT note FROM report").fetchall() == [(None,), (None,)]
        assert seen.execute("PRAGMA user_version").fetchone() == (2,)
    seen.close()


async def test_a_step_to_a_new_version_that_fails_changes_nothing(folder, monkeypatch):
    async with History.of(StateDirectory(folder)) as before:
        await before.add(report())
    step = "ALTER TABLE report ADD COLUMN note TEXT; ALTER TABLE nowhere ADD COLUMN note TEXT"
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
        async with History.of(StateDirectory(folder)) as after:
            assert await after.list() == ()
            assert "report this" in after.problem
    async with History.of(StateDirectory(folder)) as again:
        assert await again.get("latest") == report()


async def test_a_history_whose_folder_was_removed_begins_anew(filled, folder):
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert await filled.list() == ()
    assert await filled.add(report(number=9))
    assert ids(await filled.list()) == [id_of(9)]


def in_a_folder(make):
    def made(folder):
        folder.mkdir()
        make(folder)

    return made


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda folder: folder.write_text("a file"), "no folder"),
        (in_a_folder(lambda folder: folder.chmod(0o777)), "every user may write"),
        (in_a_folder(lambda folder: os.chown(folder, 12345, -1)), "permission denied"),
        (in_a_folder(lambda folder: (folder / FILE).mkdir()), "no regular file"),
        (in_a_folder(lambda folder: os.mkfifo(folder / FILE)), "no regular file"),
        (in_a_folder(lambda folder: (folder / FILE).symlink_to("/etc/x")), "no regular file"),
    ],
    ids=["file", "open to all", "not ours", "folder", "pipe", "link"],
)
async def test_a_place_that_can_not_be_used_is_said_once(history, folder, caplog, make, why):
    if why == "permission denied" and os.geteuid() != 0:
        pytest.skip("only root gives a folder away")
    make(folder)
    for _ in range(2):
        assert not await history.add(report())
        assert why in history.problem
    assert await history.list() == ()
    assert len([one for one in caplog.records if why in one.getMessage()]) == 1


def test_a_full_disk_is_said_once_and_what_is_there_stays(folder, caplog):
    store = Store(Database(folder / FILE))
    assert store.add(report())
    pages = store.database.connection().execute("PRAGMA page_count").fetchone()[0]
    store.database.connection().execute(f"PRAGMA max_page_count = {pages}")
    large = report(number=2, host={"x": random.Random(1).randbytes(100_000).hex()})
    assert not store.add(large)
    assert not store.add(large)
    assert "the disk is full" in store.problem
    assert store.get("latest") == report()
    assert len(caplog.records) == 1
    store.database.connection().execute("PRAGMA max_page_count = 100000")
    assert store.add(large)
    assert store.problem is None
    store.close()


LIMITED = """
import resource, signal, sys
from pathlib import Path
from orac_core.benchmark.database import Database
from orac_core.benchmark.store import Store
from tests.core.benchmark.reports import report

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(Database(Path(sys.argv[1])))
assert store.add(report())
resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, resource.RLIM_INFINITY))
done = [store.add(report(number=number)) for number in range(2, 60)]
assert not all(done), done
assert "limit of file size" in store.problem, store.problem
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
assert store.add(report(number=61))
assert store.problem is None
print(1 + sum(done) + 1, len(store.list(1000)))
"""


def test_writes_that_the_system_refuses_are_survived(folder):
    done = run(LIMITED, folder / FILE)
    kept, listed = map(int, done.stdout.split())
    assert kept == listed


ADDING = """
import sys
from pathlib import Path
from orac_core.benchmark.database import Database
from orac_core.benchmark.store import Store
from tests.core.benchmark.reports import report

store = Store(Database(Path(sys.argv[1])))
for number in range(int(sys.argv[3])):
    one = report(id=f"{sys.argv[2]}-{number:04}")
    assert store.add(one), store.problem
    print(one.id, flush=True)
"""


def test_a_kill_in_the_middle_of_a_write_loses_nothing_that_was_kept(folder):
    chance = random.Random(5)
    kept: set[str] = set()
    for nth in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", ADDING, str(folder / FILE), str(nth), "100000"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        said = [process.stdout.readline().strip()]
        time.sleep(chance.uniform(0.01, 0.1))
        process.send_signal(signal.SIGKILL)
        kept.update(filter(None, (*said, *process.communicate()[0].split("\n")[:-1])))
        process.wait()
        store = Store(Database(folder / FILE), most_reports=100_000)
        assert kept <= {entry.id for entry in store.list(100_000)}
        assert store.problem is None
        check = store.database.connection().execute("PRAGMA integrity_check").fetchone()
        assert check == ("ok",)
        for entry in store.list(100_000):
            assert store.get(entry.id).results == report().results
        store.close()


def test_two_processes_keep_theirs_at_once(folder):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ADDING, str(folder / FILE), name, "40"],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "other")
    ]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    store = Store(Database(folder / FILE))
    assert len(store.list(1000)) == 80
    store.close()


def run(program, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done
