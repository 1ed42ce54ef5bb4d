"""A child process: started, heard, ended, and never left over."""

import asyncio
import os
import signal
import subprocess
import sys

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_backends._process import ChildProcess, Tail, tethered
from orac_core import BackendError
from tests.backends.driving import runs, until


async def started(program: str, **options) -> ChildProcess:
    argv = (sys.executable, "-I", "-c", program)
    return await ChildProcess.start("a child", argv, environment={}, **options)


async def test_its_last_words_and_its_exit_code_are_kept():
    seen = []
    child = await started(
        "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)",
        on_exit=lambda: seen.append("end"),
    )
    assert await child.ended_within(10)
    assert sorted(child.tail.lines) == ["err", "out"]
    assert child.how_it_ended() == "exit code 3"
    assert seen == ["end"]
    await child.stop()
    assert child.memory_bytes() is None


async def test_its_standard_input_stays_open_until_it_is_stopped():
    child = await started(
        "import sys; print(sys.stdin.readline(), flush=True); sys.stdin.read()", stdin=b"hi\n"
    )
    await until(lambda: child.tail.lines == ("hi",))
    assert child.memory_bytes() > 1 << 20
    assert not await child.ended_within(0.05)
    await child.stop()
    assert child.how_it_ended() == "signal SIGKILL"
    assert not psutil.pid_exists(child.pid)


async def test_it_may_end_by_itself_when_it_is_given_time():
    child = await started(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    await until(lambda: child.tail.lines)
    await child.stop(grace_s=10)
    assert child.returncode == 7


async def test_one_that_will_not_end_is_killed():
    child = await started(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True)\ntime.sleep(60)"
    )
    await until(lambda: child.tail.lines)
    await child.stop(grace_s=0.1)
    assert child.how_it_ended() == "signal SIGKILL"


async def test_one_that_needs_what_it_started_to_end_in_order_is_asked_alone():
    child = await started(
        "import signal, subprocess, sys, time\n"
        "other = subprocess.Popen([sys.executable, '-c', 'input(\"other\")'], stdin=-1)\n"
        "def end(*_):\n    other.communicate(b'x')\n    sys.exit(other.returncode)\n"
        "signal.signal(signal.SIGTERM, end)\nprint('ready', flush=True)\ntime.sleep(60)"
    )
    await until(lambda: "ready" in child.tail.lines)
    await child.stop(grace_s=10, group=False)
    assert child.returncode == 0


async def test_what_it_started_ends_with_it():
    child = await started(
        "import subprocess, sys\n"
        "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(other.pid, flush=True)"
    )
    assert await child.ended_within(10)
    other = int(child.tail.lines[0])
    await until(lambda: not runs(other))
    await child.stop()


async def test_ctrl_c_in_the_terminal_is_not_for_it():
    child = await started("import time; print('ready', flush=True); time.sleep(60)")
    await until(lambda: child.tail.lines)
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    await child.stop()


async def test_a_program_that_is_not_there_is_an_error():
    with pytest.raises(BackendError, match="cannot start a child"):
        await ChildProcess.start("a child", ("/no/such/program",), environment={})


async def test_giving_up_a_start_leaves_nothing():
    for _ in range(5):
        starting = asyncio.create_task(started("import time; time.sleep(60)"))
        await until(psutil.Process().children)
        starting.cancel()
        outcome = (await asyncio.gather(starting, return_exceptions=True))[0]
        if isinstance(outcome, ChildProcess):
            await outcome.stop()
        await until(lambda: not psutil.Process().children())


def test_a_tethered_program_dies_with_its_parent():
    sleeper = tethered(("/bin/sleep", "60"))
    program = (
        "import os, subprocess, sys\n"
        f"argv = list({sleeper!r}); argv[4] = str(os.getpid())\n"
        "child = subprocess.Popen(argv)\nprint(child.pid, flush=True)\nchild.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        child = int(parent.stdout.readline())
        asyncio.run(until(lambda: "sleep" in psutil.Process(child).name()))
        parent.send_signal(signal.SIGKILL)
    asyncio.run(until(lambda: not runs(child), within=5))


def test_a_tethered_program_whose_parent_is_gone_already_does_not_start():
    argv = list(tethered(("/bin/echo", "started")))
    argv[4] = "1"
    done = subprocess.run(argv, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")


@given(st.lists(st.binary(max_size=300), max_size=30))
def test_a_tail_is_bounded_and_printable_whatever_is_written(reads):
    tail = Tail(limit=5, line_length=20)
    for read in reads:
        tail.feed(read)
    assert len(tail.lines) <= 6
    assert all(line.isprintable() for line in tail.lines)
    assert all(len(line) <= 20 * len("\\U0010ffff") for line in tail.lines)
    assert len(tail._rest) <= 80


def test_a_tail_tells_what_is_new():
    tail = Tail(limit=3)
    tail.feed(b"a\nb\n")
    seen = tail.count
    assert tail.since(seen) == ()
    tail.feed(b"c\nd\ne\nf")
    assert tail.since(seen) == ("c", "d", "e")
    assert tail.since(0) == ("c", "d", "e")
    assert tail.lines == ("c", "d", "e", "f")
