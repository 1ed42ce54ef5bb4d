"""The bridge as ORAC sees it, when what is on the other side is broken; no Ray is needed."""

import asyncio
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from orac_backends._ray import frames
from orac_backends._ray.wire import Question
from orac_backends.ray import RaySettings
from orac_backends.ray import bridge as module
from orac_backends.ray.bridge import Bridge
from orac_core import BackendError, BackendUnavailable
from tests.backends.driving import until


class Reached(Bridge):
    """One whose process is a socket of the test's."""

    async def _there(self, within_s):
        return self.folder / "it.sock"


@asynccontextmanager
async def saying(folder, words):
    """Yield a bridge that answers with just those bytes, and then keeps silent."""
    writers = []

    async def answer(reader, writer):
        writers.append(writer)
        writer.write(words)

    async with await asyncio.start_unix_server(answer, folder / "it.sock"):
        yield Reached(RaySettings(), folder)
        await until(lambda: writers)
        for writer in writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def test_a_bridge_that_never_answers_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_S", 0.05)
    async with saying(tmp_path, b"") as bridge:
        with pytest.raises(BackendUnavailable, match="did not answer within 0.05 s; if that lasts"):
            await bridge.look(0.05)


async def test_a_message_too_long_to_read_is_an_error_of_the_backend(tmp_path):
    async with saying(tmp_path, b"\xff\xff\xff\xff") as bridge:
        with pytest.raises(BackendError, match="a message of 4294967295 bytes can not cross"):
            await bridge.ask(Question("embed"))


async def test_a_question_too_long_to_read_is_not_sent(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "_MOST", 100)
    async with saying(tmp_path, b"") as bridge:
        with pytest.raises(BackendError, match="ask for less"):
            await bridge.ask(Question("embed", body=b"x" * 100))


async def test_a_bridge_that_ends_in_the_moment_it_listens_has_not_been_started(
    tmp_path, monkeypatch
):
    class Ended(Bridge):
        async def _listens(self, socket: Path) -> bool:
            return await self._process.ended_within(10.0)

    monkeypatch.setattr(module, "find_spec", lambda _: True)
    monkeypatch.setattr(module, "kept", lambda *_: ("sh", "-c", "echo 'bridge: it is full' >&2"))
    bridge = Ended(RaySettings(), tmp_path)
    with pytest.raises(BackendUnavailable, match="it is full; it is started again"):
        await bridge._there(10.0)
    await bridge.close()


async def test_a_bridge_that_has_lived_a_while_is_started_again_at_once(tmp_path, monkeypatch):
    class Living(Bridge):
        async def _listens(self, socket: Path) -> bool:
            return True

    async def killed():
        process = bridge._process
        process.kill()
        await until(lambda: process.ended)

    monkeypatch.setattr(module, "find_spec", lambda _: True)
    monkeypatch.setattr(module, "kept", lambda *_: ("cat",))
    bridge = Living(RaySettings(), tmp_path)
    first = await bridge._there(10.0)
    bridge._joined_at -= module._AGAIN_S
    await killed()
    assert await bridge._there(10.0) != first
    await killed()
    with pytest.raises(BackendUnavailable, match="it is started again in [1-5] s, with the next"):
        await bridge._there(10.0)
    await bridge.close()
