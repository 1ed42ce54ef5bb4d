"""Run a program that starts others, and leave none of them behind, whoever dies first.

A program of its own: ``python _keeper.py PARENT_PID GRACE_S PROGRAM ARGUMENTS...``. When its parent
dies, or SIGTERM comes, the program is asked to end and has the grace to do so. When the program
ends, for whatever reason, what it started and left behind is killed. Then this ends as it did.
"""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from time import monotonic

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_HEARD = {*_ENDING, signal.SIGCHLD}
_LOOK_S, _CLEAR_S = 0.1, 10.0


def keep(parent: int, grace_s: float, argv: list[str]) -> int:
    """Run *argv* to its end and clear up after it; return its exit code, or minus its signal."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)  # each is taken when there is time for it
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))
    _end_with(parent)
    code = _watched(_started(argv), grace_s)
    _clear()
    return code


def _end_with(parent: int) -> None:
    """Ask the kernel for SIGTERM when *parent* dies; end at once when that is so already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM))
    if os.getppid() != parent:
        os._exit(1)


def _started(argv: list[str]) -> int:
    keeper = os.getpid()
    if child := os.fork():
        return child
    try:
        _end_with(keeper)  # should this one be killed together with its parent
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execv(argv[0], argv)  # noqa: S606 - a fixed program, without a shell
    except OSError as error:
        os.write(2, f"cannot run {argv[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _watched(program: int, grace_s: float) -> int:
    """Wait for its end, and see to it when told to; return how it ended."""
    kill_at = None
    while (status := _reaped().get(program)) is None:
        heard = signal.sigtimedwait(_HEARD, 3600 if kill_at is None else _LOOK_S)
        if kill_at is None and heard is not None and heard.si_signo in _ENDING:
            kill_at = monotonic() + grace_s
            os.kill(program, signal.SIGTERM)
        elif kill_at is not None and monotonic() >= kill_at:
            os.kill(program, signal.SIGKILL)
    return os.waitstatus_to_exitcode(status)


def _reaped() -> dict[int, int]:
    """Return the status of each child that has ended."""
    ended = {}
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = found[1]
    return ended


def _clear() -> None:
    """Kill what is left: without a living parent of its own it is a child of this process."""
    ends_at = monotonic() + _CLEAR_S  # a driver that hangs may keep one for ever
    while (left := _children(os.getpid())) and monotonic() < ends_at:
        for child in left:
            os.kill(child, signal.SIGKILL)
        signal.sigtimedwait({signal.SIGCHLD}, _LOOK_S)
        _reaped()


def _children(parent: int) -> list[int]:
    with os.scandir("/proc") as entries:
        return [int(it.name) for it in entries if it.name.isdigit() and _parent(it.path) == parent]


def _parent(folder: str) -> int:
    """Return the parent of a process as proc_pid_stat(5) tells it; 0 when the process is gone."""
    try:
        with open(f"{folder}/stat", "rb") as stat:  # noqa: PTH123 - pathlib costs memory
            return int(stat.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def _end_like(code: int) -> None:
    if code < 0:
        with suppress(OSError):  # SIGKILL needs no preparation
            signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    _end_like(keep(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
