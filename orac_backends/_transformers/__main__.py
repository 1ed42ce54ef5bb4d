"""Serve one model until the standard input ends."""

import ctypes
import json
import os
import signal
import sys
import threading

from .model import Model
from .server import Server, end_with

_PR_SET_PDEATHSIG = 1
_FAILED = 3


def main() -> None:
    """Serve one model until the standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for ORAC, which drains first
    wishes = json.loads(sys.stdin.buffer.readline())
    _die_with(wishes["parent"])
    try:
        server = Server(wishes["socket"], Model(wishes), wishes["key"])
    except BaseException as error:  # noqa: BLE001 - whatever it is, its reason is all that counts
        end_with(error)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.buffer.read()
    os._exit(0)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when ORAC dies, also while it computes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(_FAILED)


if __name__ == "__main__":
    main()
