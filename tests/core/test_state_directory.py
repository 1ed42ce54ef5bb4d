import errno
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core import StateDirectory
from orac_core import open as open_manager
from orac_core.state_directory import MOST_BYTES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.fixture
def state(tmp_path):
    return StateDirectory(tmp_path / "state")


@pytest.fixture
def full(monkeypatch):
    """A disk that takes nothing, for as long as `disk_is_full` is set."""
    disk_is_full = threading.Event()
    disk_is_full.set()
    real = os.fsync

    def fsync(descriptor):
        if disk_is_full.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return disk_is_full


def document(state, name="it"):
    return state.path / f"{name}.json"


def names(state):
    return sorted(path.name for path in state.path.iterdir())


@given(JSON)
def test_what_is_written_is_read_by_the_next_one(tmp_path_factory, value):
    folder = tmp_path_factory.mktemp("state")
    StateDirectory(folder).write("it", value)
    assert StateDirectory(folder).read("it") == value


def test_a_document_that_nobody_wrote_is_none_and_makes_no_folder(state):
    assert state.read("it") is None
    assert state.problem is None
    assert not state.path.exists()


def test_without_a_folder_nothing_is_kept_and_nothing_is_wrong():
    nowhere = StateDirectory(None)
    nowhere.write("it", 1)
    assert (nowhere.read("it"), nowhere.problem) == (None, None)


def test_only_its_owner_may_look(state):
    state.write("it", 1)
    assert state.path.stat().st_mode & 0o777 == 0o700
    assert document(state).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"ORAC_STATE_DIR": "/a", "STATE_DIRECTORY": "/b", "HOME": "/h"}, "/a"),
        ({"STATE_DIRECTORY": "/b:/c", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/b"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/orac"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/orac"),
        ({"ORAC_STATE_DIR": "", "HOME": "/h"}, "/h/.local/state/orac"),
        ({}, None),
    ],
)
def test_the_environment_says_where_it_is(environ, path):
    assert StateDirectory.of(environ).path == (path and Path(path))


@pytest.mark.parametrize(
    "spoilt",
    [
        b"",
        b'{"version": 1, "val',
        b"[1]",
        b'{"version": 2, "value": 1}',
        b'{"value": 1}',
        b"\xff\xfe",
        b"[" * 100_000,
        b" " * (MOST_BYTES + 1),
    ],
    ids=["empty", "cut", "list", "newer", "no version", "no text", "deep", "large"],
)
def test_a_damaged_document_is_put_aside_and_said_once(state, spoilt, caplog):
    state.write("it", 1)
    document(state).write_bytes(spoilt)
    assert state.read("it") is None
    assert state.read("it") is None
    assert state.problem is None
    assert (state.path / "it.broken").read_bytes() == spoilt
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("orac.state", logging.WARNING)
    assert "it.broken" in record.getMessage()


def test_a_document_that_is_no_file_is_put_aside_without_waiting_for_it(state):
    state.path.mkdir()
    os.mkfifo(document(state))
    assert state.read("it") is None
    assert (state.path / "it.broken").exists()


def test_a_full_disk_leaves_what_was_there_and_is_said_once(state, full, caplog):
    full.clear()
    state.write("it", "old")
    full.set()
    state.write("it", "new")
    state.write("it", "new")
    assert "the disk is full; free some" in state.problem
    assert str(state.path) in state.problem
    assert len(caplog.records) == 1
    assert names(state) == ["it.json"]
    assert state.read("it") == "old"
    assert state.problem is not None


def test_a_problem_is_over_with_the_next_success_and_said_again_after_it(state, full, caplog):
    state.write("it", 1)
    full.clear()
    state.write("it", 2)
    assert (state.problem, state.read("it")) == (None, 2)
    full.set()
    state.write("it", 3)
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.EROFS, "read-only file system"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_problem_says_what_to_do(state, monkeypatch, code, said):
    def mkdir(*_args, **_options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    state.write("it", 1)
    assert said in state.problem
    assert "ORAC_STATE_DIR" in state.problem or "free some" in state.problem


def test_a_file_where_the_folder_should_be_is_said(tmp_path):
    (tmp_path / "state").write_text("mine")
    state = StateDirectory(tmp_path / "state")
    assert state.read("it") is None
    state.write("it", 1)
    assert "it is no folder" in state.problem
    assert (tmp_path / "state").read_text() == "mine"


def test_a_folder_of_another_user_is_not_believed_but_that_of_root_is(state, monkeypatch):
    state.write("it", 1)
    real, stranger = Path.stat, [4711]

    def stat(path, **options):
        found = list(real(path, **options))
        found[4] = stranger[0] if path == state.path else found[4]
        return os.stat_result(found)

    monkeypatch.setattr(Path, "stat", stat)
    assert state.read("it") is None
    assert "permission denied" in state.problem
    state.write("it", 2)
    stranger[0] = 0
    assert state.read("it") == 1


def test_a_folder_in_which_everybody_may_write_is_not_believed(state):
    state.write("it", 1)
    state.path.chmod(0o777)
    assert state.read("it") is None
    assert "chmod o-w" in state.problem
    state.path.chmod(0o700)
    assert (state.read("it"), state.problem) == (1, None)


@pytest.mark.parametrize("value", [object(), {1, 2}, "x" * MOST_BYTES], ids=type)
def test_what_can_not_be_kept_is_a_problem_and_no_error(state, value):
    state.write("it", 1)
    state.write("it", value)
    assert "what it should hold" in state.problem
    assert state.read("it") == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from orac_core import StateDirectory
Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
StateDirectory(Path(sys.argv[1])).write("it", "new")
"""


def test_a_process_killed_while_writing_leaves_the_old_one_and_its_rest_is_removed(state):
    state.write("it", "old")
    done = subprocess.run([sys.executable, "-c", KILLED, state.path], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    (rest,) = set(names(state)) - {"it.json"}
    os.utime(state.path / rest, (0, 0))
    assert state.read("it") == "old"
    state.write("it", "newer")
    assert names(state) == ["it.json"]


WRITER = """
import sys
from pathlib import Path
from orac_core import StateDirectory
state = StateDirectory(Path(sys.argv[1]))
for number in range(50):
    state.write("it", [number] * 1000)
    assert state.problem is None, state.problem
"""


def test_processes_that_write_at_once_leave_a_whole_document(state):
    state.write("it", [0] * 1000)
    command = [sys.executable, "-c", WRITER, state.path]
    writers = [subprocess.Popen(command) for _ in range(2)]
    while any(writer.poll() is None for writer in writers):
        assert len(set(state.read("it"))) == 1
    assert [writer.returncode for writer in writers] == [0, 0]
    assert state.read("it") == [49] * 1000
    assert names(state) == ["it.json"]


def test_threads_that_write_at_once_leave_a_whole_document(state):
    threads = [
        threading.Thread(target=state.write, args=("it", [number] * 100)) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state.problem is None
    assert len(set(state.read("it"))) == 1


def test_a_document_says_its_version(state):
    state.write("it", {"a": 1})
    assert json.loads(document(state).read_bytes()) == {"version": 1, "value": {"a": 1}}


async def test_the_manager_keeps_it_and_health_says_what_is_wrong_with_it(state, full, tmp_path):
    async with open_manager(models_dir=tmp_path, state=state, environ={}) as manager:
        assert manager.state is manager.files.state is state
        state.write("it", 1)
        health = await manager.health()
        assert health.status == "degraded"
        (finding,) = [it for it in health.degradation if it.subject == "state directory"]
        assert "the disk is full" in finding.text
        full.clear()
        state.write("it", 1)
        assert "state directory" not in {it.subject for it in (await manager.health()).degradation}


async def test_the_manager_keeps_nothing_without_a_home(tmp_path):
    async with open_manager(models_dir=tmp_path, environ={}) as manager:
        assert manager.state.path is None
