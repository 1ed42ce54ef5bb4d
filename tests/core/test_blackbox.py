"""The black box: real files, real threads, a process that is really killed."""

import json
import logging
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orac_core
from orac_core import BackendUnavailable, GenerateRequest, Message
from orac_core.blackbox import (
    DUMPS,
    LONGEST_LINE,
    SEGMENTS,
    WAITING,
    BlackBox,
    dumps,
    line,
    recording,
    segments,
)
from orac_core.events import Event, Events
from orac_core.manifest import parse
from orac_core.state_directory import StateDirectory
from tests.scripted import ScriptedBackend, plugins

NOON = 43200.0
SECRET = "zyzzyva-4711"


class Clock:
    now = NOON

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def box(tmp_path, clock):
    return BlackBox(tmp_path / "state", wall=clock)


def heard(box, *kinds, **data):
    for kind in kinds:
        box.put(Event(kind, box.wall(), data))


def lines(*paths):
    return [json.loads(text) for path in paths for text in path.read_text().splitlines()]


def waited_for(condition, within_s=20):
    ends_at = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends_at
        threading.Event().wait(0.01)


def test_what_happened_is_written_as_lines_of_json(box):
    heard(box, "model", state="ready", model="m")
    box.flush()
    assert lines(*segments(box.folder)) == [
        {"at": "1970-01-01T12:00:00.000Z", "kind": "model", "state": "ready", "model": "m"}
    ]


def test_only_its_owner_may_read_it(box):
    heard(box, "model")
    box.flush()
    box.dump("asked for")
    for path in box.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(box.folder.stat().st_mode) == 0o700


def test_the_last_ten_minutes_are_there_and_what_is_older_than_twenty_is_not(box, clock):
    for second in range(0, 7200, 5):
        clock.now = NOON + second
        heard(box, "sample", n=second)
        box.flush()
        kept = [each["n"] for each in lines(*segments(box.folder))]
        assert kept == list(range(kept[0], second + 5, 5))
        assert kept[0] <= max(0, second - 600)
        assert kept[0] >= second - 1200


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), max_size=60), st.integers(400, 4000))
def test_it_never_grows_beyond_its_size(tmp_path_factory, sizes, most_bytes):
    box = BlackBox(tmp_path_factory.mktemp("box"), most_bytes, wall=Clock())
    for number, size in enumerate(sizes):
        heard(box, "model", text="x" * size, n=number)
        if number % 3 == 0:
            box.flush()
        assert sum(path.stat().st_size for path in segments(box.folder)) <= most_bytes
    box.flush()
    kept = [each["n"] for each in lines(*segments(box.folder))]
    assert kept == list(range(len(sizes)))[len(sizes) - len(kept) :]


def test_a_thousand_events_and_more_wait_in_bounded_room(box):
    for number in range(WAITING + 100):
        box.put(Event("sample", NOON, {"n": number}))
    box.flush()
    assert [each["n"] for each in lines(*segments(box.folder))][::WAITING] == [100]


@pytest.mark.parametrize("value", [object(), float("nan"), "x" * LONGEST_LINE])
def test_what_is_no_json_or_too_long_is_left_out_and_said(value):
    found = json.loads(line("model", NOON, {"value": value}))
    assert found["kind"] == "model"
    assert "left_out" in found
    assert "value" not in found


def test_a_line_that_was_cut_spoils_no_other(box, clock):
    heard(box, "model", n=1)
    box.flush()
    (file,) = segments(box.folder)
    file.write_bytes(file.read_bytes() + b'{"at":"1970-01-0')
    heard(box, "model", n=2)
    box.flush()
    first, cut, last, _ = file.read_bytes().split(b"\n")
    assert (json.loads(first)["n"], json.loads(last)["n"]) == (1, 2)
    assert cut == b'{"at":"1970-01-0'


@pytest.mark.parametrize("contents", [b"", b"\x00\xff", b'{"at": 3}\n', b"[]\n", b'{"at":"soon"}'])
def test_a_file_that_is_damaged_is_written_on(box, contents):
    box.folder.mkdir()
    (box.folder / SEGMENTS[0]).write_bytes(contents)
    heard(box, "model", n=1)
    box.flush()
    box.flush()
    assert json.loads((box.folder / SEGMENTS[0]).read_bytes().splitlines()[-1])["n"] == 1


@pytest.mark.parametrize("jump_s", [-86400, 86400, 31536000])
def test_a_clock_that_is_set_costs_no_more_than_one_change_of_files(box, clock, jump_s):
    for second in range(0, 100, 5):
        if second == 50:
            clock.now += jump_s
        clock.now += 5
        heard(box, "sample", n=second)
        box.flush()
    box.dump("asked for")
    (dump,) = dumps(box.folder)
    assert [each["n"] for each in lines(dump)[1:]] == list(range(0, 100, 5))


def test_a_copy_has_what_is_there_in_its_order_and_says_why(box, clock):
    for second in (0, 700, 900):
        clock.now = NOON + second
        heard(box, "model", n=second)
        box.flush()
    heard(box, "model", n=901)
    path = box.dump("somebody asked")
    assert path.name == "blackbox-19700101T121500Z.jsonl"
    first, *rest = lines(path)
    assert (first["kind"], first["reason"]) == ("dump", "somebody asked")
    assert [each["n"] for each in rest] == [0, 700, 900, 901]


def test_only_the_newest_copies_are_kept(box, clock):
    for minute in range(DUMPS + 3):
        clock.now = NOON + 60 * minute
        box.dump(str(minute))
    assert [lines(path)[0]["reason"] for path in dumps(box.folder)] == list("34567")


def test_a_copy_is_made_when_health_becomes_unhealthy_once_and_once_a_minute(box, clock):
    def turned(*states):
        for status in states:
            heard(box, "health", status=status, message=f"it is {status}")
        box.flush()
        box._dump_when_worse()
        return len(dumps(box.folder))

    assert turned("healthy", "degraded") == 0
    assert turned("unhealthy", "unhealthy") == 1
    assert turned("unhealthy") == 1
    clock.now += 30
    assert turned("healthy", "unhealthy") == 1
    clock.now += 31
    assert turned("unhealthy") == 1
    assert turned("healthy", "unhealthy") == 2
    assert lines(dumps(box.folder)[0])[0]["reason"] == "unhealthy: it is unhealthy"


def test_without_a_folder_nobody_listens():
    events = Events()
    with recording(events, StateDirectory(None)) as box:
        assert box is None
        assert not events.heard


def test_recording_writes_what_is_told_and_ends_in_good_order(tmp_path):
    events = Events()
    with recording(events, StateDirectory(tmp_path), pause_s=0.01) as box:
        events.publish("model", state="ready")
        waited_for(lambda: segments(tmp_path))
        events.publish("health", status="unhealthy", message="no backend is usable")
        waited_for(lambda: dumps(tmp_path))
        events.publish("model", state="stopped")
    assert not events.heard
    assert box.problem is None
    assert [each["kind"] for each in lines(*segments(tmp_path))] == [
        *("model", "health", "model", "closed"),
    ]


def test_after_an_end_in_good_order_nothing_is_copied_at_the_next_start(tmp_path):
    for _ in range(2):
        events = Events()
        with recording(events, StateDirectory(tmp_path), pause_s=0.01):
            events.publish("model", state="ready")
    assert dumps(tmp_path) == []
    assert len(lines(*segments(tmp_path))) == 4


def killed_while_it_records(folder):
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from orac_core.blackbox import recording\n"
        "from orac_core.events import Events\n"
        "from orac_core.state_directory import StateDirectory\n"
        "events, n = Events(), 0\n"
        "with recording(events, StateDirectory(Path(sys.argv[1])), pause_s=0.001):\n"
        "    while True:\n"
        "        events.publish('sample', n=(n := n + 1), text='x' * 300)\n"
        "        time.sleep(0.0001)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(folder)])
    try:
        waited_for(lambda: sum(path.stat().st_size for path in segments(folder)) > 200_000)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(30)


def test_killed_it_leaves_lines_that_can_be_read_and_the_next_start_keeps_them(tmp_path):
    killed_while_it_records(tmp_path)
    (file,) = segments(tmp_path)
    whole = file.read_bytes().split(b"\n")[:-1]
    assert [json.loads(text)["n"] for text in whole] == list(range(1, len(whole) + 1))
    with recording(Events(), StateDirectory(tmp_path), pause_s=0.01):
        waited_for(lambda: dumps(tmp_path))
    (dump,) = dumps(tmp_path)
    first, *rest = dump.read_bytes().splitlines()
    assert "killed" in json.loads(first)["reason"]
    assert rest[: len(whole)] == whole


def test_two_processes_do_not_write_the_same_files(tmp_path, caplog):
    one, other = BlackBox(tmp_path), BlackBox(tmp_path)
    heard(one, "model", n=1)
    one.flush()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            heard(other, "model", n=2)
            other.flush()
    assert "another process of ORAC uses it" in other.problem
    assert len(caplog.records) == 1
    assert other.dump("asked for") is None
    assert [each["n"] for each in lines(*segments(tmp_path))] == [1]


def test_a_folder_that_can_not_be_used_is_said_once_and_it_goes_on_when_it_can(tmp_path, caplog):
    place = tmp_path / "state"
    place.write_text("a file")
    box = BlackBox(place)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            heard(box, "model", n=1)
            box.flush()
    assert len(caplog.records) == 1
    assert str(place) in box.problem
    place.unlink()
    box.flush()
    assert box.problem is None
    assert len(lines(*segments(place))) == 3


def test_a_full_disk_is_said_once_and_costs_only_what_had_no_room(tmp_path):
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from orac_core.blackbox import BlackBox\n"
        "from orac_core.events import Event\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "box = BlackBox(Path(sys.argv[1]), wall=lambda: 0.0)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, -1))\n"
        "for n in range(5):\n"
        "    box.put(Event('model', 0.0, {'n': n}))\n"
        "    box.flush()\n"
        "print(box.problem)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))\n"
        "box.put(Event('model', 0.0, {'n': 9}))\n"
        "box.flush()\n"
        "print(box.problem)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said, later = done.stdout.splitlines()
    assert "can not be used" in said
    assert later == "None"
    assert done.stderr.count("black box") == 2  # the file too large, then the part that was cut
    (file,) = segments(tmp_path)
    first, *_, last = file.read_text().splitlines()
    assert (json.loads(first)["n"], json.loads(last)["n"]) == (0, 9)


def test_a_link_that_somebody_laid_there_is_not_followed(box, tmp_path):
    box.folder.mkdir()
    other = tmp_path / "precious"
    other.write_text("keep")
    for name in SEGMENTS:
        (box.folder / name).symlink_to(other)
    heard(box, "model")
    box.flush()
    assert box.problem is not None
    assert other.read_text() == "keep"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_not_written_to(box):
    box.folder.mkdir()
    os.chown(box.folder, 12345, 12345)
    heard(box, "model")
    box.flush()
    assert "another user" in box.problem


@settings(max_examples=20, deadline=None)
@given(st.text(min_size=1), st.sampled_from(["first", "word 1", "load", None]))
async def test_no_prompt_and_no_answer_is_ever_written(tmp_path_factory, text, failing):
    folder = tmp_path_factory.mktemp("run")
    prompt = f"{SECRET}{text}"
    backend = ScriptedBackend(words=(prompt,) * 3)
    if failing:
        backend.failures[failing] = BackendUnavailable(f'can not go on after "{prompt}"')
    manifest = parse({"backends": {"here": {"kind": "scripted"}}}, "test")
    state = StateDirectory(folder / "state")
    opening = orac_core.open(
        manifest, models_dir=folder, plugins=plugins(backend), environ={}, state=state
    )
    async with opening as manager:
        with recording(manager.events, state) as box:
            request = GenerateRequest("small", messages=(Message("user", prompt),))
            for _ in range(2):
                try:
                    await manager.answer(request)
                except BackendUnavailable:
                    assert failing
            await manager.models()
            box.dump("asked for")
    written = [path.read_text() for path in state.path.iterdir()]
    assert any('"answer"' in each for each in written)
    assert not any(SECRET in each for each in written)
