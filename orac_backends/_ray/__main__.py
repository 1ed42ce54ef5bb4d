"""Be the bridge to a cluster until the standard input ends."""

import asyncio
import json
import os
import secrets
import signal
import sys
from typing import Any

_FAILED = 3
# Two to three milliseconds less for each question: no hop between threads, no object in Ray's store
# for each message. What Ray calls throughput-optimised, as far as it touches a driver and replicas.
_QUICK = {
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    # Ray's least priority would have whatever else the machine does go before answers.
    "RAY_worker_niceness": "0",
    # Who waits for a busy replica looks this often: half a second leaves it idle half of the time.
    "RAY_SERVE_ROUTER_RETRY_MAX_BACKOFF_S": "0.05",
}


def main() -> None:
    """Be the bridge to a cluster until the standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for ORAC, which drains first
    wishes = json.loads(sys.stdin.buffer.readline())
    os.environ |= _environment(alone=wishes["address"] is None) | os.environ
    try:
        from . import cluster  # noqa: PLC0415 - its import takes seconds, and may fail

        cluster.connect(wishes["address"], wishes["namespace"])
    except BaseException as error:  # noqa: BLE001 - whatever it is, its reason is all that counts
        _end_with(error)
    asyncio.run(_serve(wishes))
    cluster.leave()
    os._exit(0)


def _environment(*, alone: bool) -> dict[str, str]:
    """Return what Ray reads when it is imported. It obeys whoever reaches it and has the token."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return _QUICK | {"RAY_USAGE_STATS_ENABLED": "0"} | (token if alone else {})


async def _serve(wishes: dict[str, Any]) -> None:
    from .bridge import Bridge  # noqa: PLC0415 - as above

    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(0, 4096) else over.set())
    bridge = Bridge(wishes["patience_s"])
    os.umask(0o077)  # the socket is ORAC's alone
    server = await asyncio.start_unix_server(
        bridge.serve, wishes["socket"], limit=1 << 20, backlog=1024
    )
    async with server:
        await over.wait()


def _end_with(error: BaseException) -> None:
    text = " ".join(str(error).split())[:360]
    sys.stderr.write(f"bridge: {type(error).__name__}: {text}\n")
    sys.stderr.flush()
    os._exit(_FAILED)


if __name__ == "__main__":
    main()
