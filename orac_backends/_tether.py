"""Become another program, one that the kernel kills as soon as its parent dies.

A program of its own: ``python _tether.py PARENT_PID PROGRAM ARGUMENTS...``. The wish survives exec
(see prctl(2), PR_SET_PDEATHSIG), so a program that knows nothing of it leaves no orphan either.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when *parent* dies; end it when that is so already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    try:
        os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - a fixed program, without a shell
    except OSError as error:
        sys.exit(f"cannot run {sys.argv[2]}: {error.strerror}")
