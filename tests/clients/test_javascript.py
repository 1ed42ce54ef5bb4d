"""OpenAI's client for JavaScript: its tests are in js/, run by node against ORAC."""

import asyncio
import json
import os
from pathlib import Path

from tests.clients.actor import STATUSES
from tests.clients.real import BROKEN, CALLER, ENDLESS, MOVED, ROBOT, USER, WIDTH, WRONG
from tests.waiting import until

JS = Path(__file__).parent / "js"


async def passed(file, **told):
    """Run the tests of one file to their end; none may fail."""
    node = await asyncio.create_subprocess_exec(
        *("node", "--test", file),
        cwd=JS,
        env={**os.environ, **told},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await node.communicate()
    assert node.returncode == 0, said.decode()


async def test_every_test_of_the_client_for_javascript_passes(base_url, actor):
    await passed("openai.test.js", ORAC_URL=base_url, ORAC_STATUSES=json.dumps(dict(STATUSES)))
    await until(lambda: actor.generating == 0)
    assert actor.closed_early >= 1


async def test_every_test_of_the_real_engine_passes_for_javascript(real):
    known = {
        "url": real.base_url,
        "user": USER,
        "wrong": WRONG,
        "robot": ROBOT,
        "endless": ENDLESS,
        "caller": CALLER,
        "broken": BROKEN,
        "width": WIDTH,
        "moved": MOVED,
    }
    before = real.cancelled()
    await passed("demo.test.js", ORAC_DEMO=json.dumps(known))
    await real.stops(before)
