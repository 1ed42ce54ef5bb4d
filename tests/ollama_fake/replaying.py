"""A replay of a recording: which files stand for its own, and what it did between requests."""

import hashlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from attrs import define, field

from tests.raw_gguf import text as gguf_text
from tests.tiny_models import CHATML, write
from tests.waiting import until

from .recorded import Case
from .server import FakeOllama
from .when import ManualClock


@define(eq=False)
class Session:
    """A replay: the server, and which files stand for those of the recording."""

    fake: FakeOllama
    client: aiohttp.ClientSession
    clock: ManualClock
    folder: Path
    files: dict[str, bytes] = field(factory=dict)
    digests: dict[str, str] = field(factory=dict)

    def stands_for(self, recorded: str, content: bytes) -> str:
        """Let a file stand for the one whose digest is recorded; return its digest."""
        digest = hashlib.sha256(content).hexdigest()
        self.digests[recorded] = digest
        self.files[digest] = content
        return digest

    async def upload(self, recorded: str, content: bytes) -> str:
        digest = self.stands_for(recorded, content)
        url = f"{self.fake.url}/api/blobs/sha256:{digest}"
        async with self.client.post(url, data=content) as response:
            assert response.status in {200, 201}
        return f"sha256:{digest}"

    async def ask(self, path: str, **body: Any) -> None:
        async with self.client.post(f"{self.fake.url}{path}", json=body) as response:
            assert response.status == 200, await response.text()
            await response.read()

    def ours(self, text: str) -> str:
        for recorded, digest in self.digests.items():
            text = text.replace(recorded, digest).replace(recorded.upper(), digest.upper())
        return text

    def weights(self, name: str) -> Path:
        return self.fake.blobs.blob(self.fake.model(name).weights)


TINY, TINY2 = (
    "334513e73ff1009b47b26fcacb539e264b634a10e4f79ad66e103cd1b98b57f3",
    "c70c04e7ca6c2b651a4fb9592e23bf3ec5b7a4943ba30428a891b0aad5023e17",
)
CHUNKED = "7e9470bdc2048db4667681aed70b1dd034b5310feac2f34e96220565d47638b2"


def tiny(folder: Path, seed: int) -> bytes:
    """A model like the recorded one: weights said to be of 32 bits, a long window, ChatML."""
    path = write(
        folder,
        "tiny-tinyllama",
        stem=str(seed),
        seed=seed,
        context_length=8192,
        chat_template=CHATML,
    )
    file_type = gguf_text("general.file_type") + struct.pack("<I", 4)
    return path.read_bytes().replace(file_type + b"\1", file_type + b"\0")


def number(text: str, value: int) -> bytes:
    return struct.pack(f"<{text}", value)


# A file as it was broken for the recording, made of a whole one.
BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "random": lambda whole: hashlib.shake_256(b"").digest(5000),
    "truncated-half": lambda whole: whole[: len(whole) // 2],
    "truncated-header": lambda whole: whole[:2000],
    "truncated-last-byte": lambda whole: whole[:-1],
    "bad-magic": lambda whole: b"GGUX" + whole[4:],
    "bad-version": lambda whole: whole[:4] + number("I", 99) + whole[8:],
    "v1-version": lambda whole: whole[:4] + number("I", 1) + whole[8:],
    "huge-tensor-count": lambda whole: whole[:8] + number("Q", 1 << 60) + whole[16:],
    "huge-kv-count": lambda whole: whole[:16] + number("Q", 1 << 60) + whole[24:],
    "empty": lambda whole: b"",
    "text": lambda whole: b"This is no model.\n" * 100,
}

# What was done between two recorded requests, by the case before which it was done.

Step = Callable[[Session, Case], Awaitable[None]]


async def upload_second(session: Session, case: Case) -> None:
    await session.upload(TINY2, tiny(session.folder, 2))


async def upload_broken(session: Session, case: Case) -> None:
    kind = case.name.partition("-gguf-")[2]
    recorded = next(iter(case.asked["body"]["files"].values())).removeprefix("sha256:")
    await session.upload(recorded, BROKEN[kind](tiny(session.folder, 1)))


async def upload_unknown(session: Session, case: Case) -> None:
    recorded = next(iter(case.asked["body"]["files"].values())).removeprefix("sha256:")
    path = write(session.folder, "tiny-pythia", architecture="notanarch", chat_template=CHATML)
    await session.upload(recorded, path.read_bytes())


async def break_off_upload(session: Session, case: Case) -> None:
    url = f"{session.fake.url}/api/blobs/sha256:{CHUNKED}"
    session.fake.faults.upload_reset_after = 50_000
    with pytest.raises(aiohttp.ClientError):
        await session.client.post(url, data=session.files[session.digests[CHUNKED]])
    session.fake.faults.upload_reset_after = None


async def look_for_leftovers(session: Session, case: Case) -> None:
    assert list(session.fake.blobs.leftovers()) == []


async def a_second_later(session: Session, case: Case) -> None:
    session.clock.advance(2)
    await until(lambda: session.fake.loaded == [])


async def make_slow(session: Session, case: Case) -> None:
    session.clock.advance(2)
    digest = await session.upload("f" * 64, tiny(session.folder, 4))
    await session.ask("/api/create", model="slow", files={"a.gguf": digest}, stream=False)
    await session.ask("/api/generate", model="slow")


async def unload_slow(session: Session, case: Case) -> None:
    await session.ask("/api/generate", model="slow", keep_alive=0)
    session.fake.runners.clear()


async def load_alias(session: Session, case: Case) -> None:
    await unload_slow(session, case)
    await session.ask("/api/copy", source="tiny", destination="tiny-alias")
    await session.ask("/api/generate", model="tiny-alias")
    await session.ask("/api/generate", model="tiny")


async def unload_tiny(session: Session, case: Case) -> None:
    await session.ask("/api/generate", model="tiny", keep_alive=0)
    session.fake.runners.poll()


async def remove_alias(session: Session, case: Case) -> None:
    session.fake.remove_model("tiny-alias")
    await session.ask("/api/copy", source="slow", destination="slowcopy")
    await session.ask("/api/generate", model="slowcopy")


async def kill_copy(session: Session, case: Case) -> None:
    session.fake.kill_runner("slowcopy")


async def kill_slow(session: Session, case: Case) -> None:
    session.fake.kill_runner("slow")


async def take_weights(session: Session, case: Case) -> None:
    session.fake.runners.clear()
    path = session.weights("tiny2:v1")
    session.files["kept"] = path.read_bytes()
    path.unlink()


async def halve_weights(session: Session, case: Case) -> None:
    session.weights("tiny2:v1").write_bytes(session.files["kept"][: 1 << 17])


async def spoil_weights(session: Session, case: Case) -> None:
    kept = session.files["kept"]
    session.weights("tiny2:v1").write_bytes(kept[:-2000] + b"\xff" * 2000)


async def reload_weights(session: Session, case: Case) -> None:
    session.fake.runners.clear()


async def restart(session: Session, case: Case) -> None:
    await session.fake.restart()


async def load_slow_alone(session: Session, case: Case) -> None:
    session.fake.runners.most = 1
    await session.ask("/api/generate", model="slow")


async def too_little_memory(session: Session, case: Case) -> None:
    session.fake.runners.clear()
    await session.ask("/api/copy", source="tiny", destination="bigctx")
    session.fake.faults.out_of_memory = True


async def enough_memory(session: Session, case: Case) -> None:
    session.fake.faults.out_of_memory = False


BEFORE: dict[str, Step] = {
    "034": break_off_upload,
    "036": look_for_leftovers,
    "041": upload_second,
    **dict.fromkeys((f"{number:03}" for number in range(60, 71)), upload_broken),
    "075": upload_unknown,
    "256": a_second_later,
    "271": make_slow,
    "275": unload_slow,
    "277b": load_alias,
    "277c": unload_tiny,
    "278": remove_alias,
    "281": kill_copy,
    "284": kill_slow,
    "311": take_weights,
    "314": halve_weights,
    "315": spoil_weights,
    "316": reload_weights,
    "317": reload_weights,
    "341": restart,
    "343": load_slow_alone,
    "360": too_little_memory,
    "362": enough_memory,
}


@asynccontextmanager
async def session(version: str, folder: Path) -> AsyncIterator[Session]:
    clock = ManualClock()
    fake = FakeOllama(version, clock=clock)
    fake.answers.never_ending |= {"tiny:latest", "slow:latest"}
    connector = aiohttp.TCPConnector(force_close=True)
    async with fake.serving(), aiohttp.ClientSession(connector=connector) as client:
        made = Session(fake, client, clock, folder)
        made.stands_for(TINY, tiny(folder, 1))
        made.stands_for(CHUNKED, b"chunks" * 20_000)
        yield made
