"""A process that downloads is killed, again and again, and nothing is lost."""

import asyncio
import hashlib
import os
import random
import signal
import sys
from functools import partial

from tests.backends.file_server import FileServer, model, serving
from tests.waiting import until

MIB = 1 << 20
KILLS = 10
IN_FLIGHT = 4 * MIB
"""What may be on its way between two sockets of one machine."""

# The interpreter is started once and forks for each attempt, which spares ten starts.
PROGRAM = """
import asyncio, os, sys
from contextlib import aclosing
from pathlib import Path
from orac_backends import _download, _download_remote
from orac_backends._fetching import Fetching
from orac_core import Host, ModelFiles, PullRequest
from orac_core.files import Place

async def fetch(folder, url, checksum):
    host = Host(ModelFiles((Place(Path(folder), "test"),)), {})
    request = PullRequest("small", url, checksum)
    async with aclosing(Fetching(host).pull(request)) as stages:
        async for _ in stages:
            pass

for line in sys.stdin:
    child = os.fork()
    if not child:
        asyncio.run(fetch(*line.split()))
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


def has_sent(server, asks, enough):
    return len(server.sent) > asks and server.bytes_sent >= enough


async def test_killed_ten_times_it_is_whole_and_nothing_is_fetched_twice(tmp_path):
    chance = random.Random(8)
    server = FileServer(body=model(48 * MIB))
    part = tmp_path / "small.gguf.part"
    order = f"{tmp_path} {{}} sha256:{hashlib.sha256(server.body).hexdigest()}\n"
    async with serving(server):
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, stdin=-1, stdout=-1
        )
        kept = []
        for _ in range(KILLS):
            asks = len(server.sent)
            program.stdin.write(order.format(server.url()).encode())
            child = int(await program.stdout.readline())
            enough = server.bytes_sent + chance.randrange(64 << 10, 4 * MIB)
            await until(partial(has_sent, server, asks, enough))
            os.kill(child, signal.SIGKILL)
            assert int(await program.stdout.readline()) == signal.SIGKILL
            kept.append(part.stat().st_size)
        program.stdin.write(order.format(server.url()).encode())
        await program.stdout.readline()
        assert int(await program.stdout.readline()) == 0
        program.stdin.close()
        await program.wait()
    assert server.starts == [0, *kept]
    assert kept == sorted(kept)
    assert (tmp_path / "small.gguf").read_bytes() == server.body
    assert server.bytes_sent - len(server.body) <= KILLS * (MIB + IN_FLIGHT)
