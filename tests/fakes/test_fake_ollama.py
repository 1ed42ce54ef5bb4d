"""The imitation is held to the recordings: each is replayed, or it stands here why not."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.ollama_fake.recorded import VERSIONS, Case, case, cases, essence, header
from tests.ollama_fake.recorded import stream_essence as kinds
from tests.ollama_fake.replaying import BEFORE, TINY, Session, session, tiny

NOT_REPLAYED = {
    "000-server-start": "a program starts: test_fake_ollama_program",
    "035-blob-dir-after-partial-upload": "files on the disk: looked at after 034",
    "067b-server-died-huge-tensor-count": "the log of a panic; that it ends is seen at 067",
    "068b-server-died-huge-kv-count": "the log of a panic; that it ends is seen at 068",
    "080-model-names": "a table of names, tested row by row",
    "101-children-after-load": "processes: test_fake_ollama_program",
    "130-generate-predict-0": "an answer without an end: test_fake_ollama_engines",
    "139-generate-predict-minus1": "an answer without an end: test_fake_ollama_engines",
    "181-v1-models": "the paths of other APIs are not imitated",
    "182-v1-chat": "the paths of other APIs are not imitated",
    "183-v1-chat-unknown": "the paths of other APIs are not imitated",
    "184-v1-chat-stream": "the paths of other APIs are not imitated",
    "219-v1-malformed": "the paths of other APIs are not imitated",
    "251-ps-after-unload": "polls over time: test_fake_ollama_engines",
    "258-expiry": "a duration: test_fake_ollama_engines",
    "270-ps-during-load": "polls over time: test_fake_ollama_engines",
    "272-cancel-midstream": "the client leaves: test_fake_ollama_engines",
    "273-after-cancel": "the request is not recorded: test_fake_ollama_engines",
    "274-cancel-during-load": "the client leaves: test_fake_ollama_engines",
    "276-four-at-once": "requests at once: test_fake_ollama_engines",
    "277-unload-while-generating": "requests at once: test_fake_ollama_engines",
    "279-ps-after-delete-loaded": "the request is not recorded: test_fake_ollama_engines",
    "280-runner-killed-midstream": "a process is killed: test_fake_ollama_program",
    "288-runner-frozen-generate": "a process is frozen: test_fake_ollama_program",
    "309-digest-of-created-blob": "files on the disk: test_fake_ollama_engines",
    "310-store-layout": "files on the disk, with names of their own",
    "320-second-server-same-port": "a program ends: test_fake_ollama_program",
    "330-server-killed-midstream": "a program is killed: test_fake_ollama_program",
    "331-server-down": "no server: test_fake_ollama_program",
    "340-restart-prune": "files on the disk, of which none goes",
    "345-queue-full": "requests at once: test_fake_ollama_engines",
    "350-server-sigterm-midstream": "a program is stopped: test_fake_ollama_program",
}


async def answer(session: Session, case: Case) -> tuple[int, Any, str]:
    """Send a recorded request; return status, headers and body of the answer."""
    asked = case.asked
    url = URL(f"{session.fake.url}{session.ours(asked['path'])}", encoded=True)
    async with session.client.request(
        asked["method"],
        url,
        headers=wanted_headers(asked.get("headers", {})),
        data=body(session, case),
        allow_redirects=False,
        skip_auto_headers=["Content-Type", "User-Agent"],
    ) as response:
        return response.status, response.headers, await response.text()


def wanted_headers(recorded: dict[str, str]) -> dict[str, str]:
    """The client itself says that it sends chunks, of which it knows by the kind of the body."""
    return {name: value for name, value in recorded.items() if name != "Transfer-Encoding"}


def body(session: Session, case: Case) -> Any:
    asked = case.asked
    if case.name == "215-bad-utf8":
        return asked["body_text"].encode().replace("\N{REPLACEMENT CHARACTER}".encode(), b"\xff")
    if "body_text" in asked:
        return asked["body_text"].encode()
    if "body" in asked:
        return session.ours(json.dumps(asked["body"])).encode()
    if "body_bytes" not in asked:
        return None
    content = session.files.get(session.ours(asked["path"])[-64:].lower(), b"other" * 200)
    return in_pieces(content) if "Transfer-Encoding" in asked.get("headers", {}) else content


async def in_pieces(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 1000):
        yield content[at : at + 1000]


async def replay(session: Session, case: Case) -> None:
    """Send a recorded request and hold the answer to the one recorded."""
    before = session.fake.loads
    status, headers, text = await answer(session, case)
    wanted = case.answered
    assert status == wanted["status"]
    for name in ("Content-Type", "Allow", "Location", "Server"):
        assert headers.get(name) == header(case, name), name
    if "lines" in wanted:
        lines = [json.loads(line) for line in text.splitlines()]
        assert kinds(lines) == kinds(wanted["lines"])
    elif isinstance(wanted["body"], str):
        assert text == wanted["body"]
    else:
        assert essence(json.loads(text)) == essence(wanted["body"])
    if case.loaded is not None:
        assert session.fake.loads - before == case.loaded, "a load more or less than recorded"


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_recorded_request_is_answered_as_recorded(version, tmp_path):
    differing: dict[str, str] = {}
    async with session(version, tmp_path) as replaying:
        for recorded in cases(version):
            if recorded.name not in NOT_REPLAYED:
                await note_difference(replaying, recorded, differing)
    assert not differing, "\n".join(f"{name}: {what}" for name, what in differing.items())


async def note_difference(session: Session, case: Case, differing: dict[str, str]) -> None:
    """Replay a case; the ones after it are of interest too when it fails."""
    step = BEFORE.get(case.name.partition("-")[0])
    try:
        if step is not None:
            await step(session, case)
        await (replay if case.response else dies)(session, case)
    except (AssertionError, aiohttp.ClientError, LookupError, ValueError) as error:
        differing[case.name] = f"{type(error).__name__} {error}"


async def dies(session: Session, case: Case) -> None:
    """Send a request of which the recorded server died, and start it again."""
    assert case.exception.startswith("http.client.RemoteDisconnected")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await answer(session, case)
    await session.fake.died.wait()
    with pytest.raises(aiohttp.ClientConnectorError):
        await session.ask("/api/version")
    await session.fake.start()


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_not_replayed_says_why(version):
    recorded = {case.name: case for case in cases(version)}
    without_request = {name for name, case in recorded.items() if case.request is None}
    assert without_request <= set(NOT_REPLAYED)
    assert set(NOT_REPLAYED) - set(recorded) <= {
        "067b-server-died-huge-tensor-count",
        "068b-server-died-huge-kv-count",
    }


@pytest.mark.parametrize("version", VERSIONS)
async def test_names_of_models_are_taken_and_refused_as_recorded(version, tmp_path):
    async with session(version, tmp_path) as replaying:
        digest = await replaying.upload(TINY, tiny(tmp_path, 1))
        await replaying.ask("/api/create", model="tiny", files={"a.gguf": digest})
        for row in case(version, "080-model-names").observed:
            asked = {"model": row["name"]}
            made = {**asked, "files": {"a.gguf": digest}, "stream": False}
            rows = {
                "create": await told(replaying, "POST", "/api/create", made),
                "show": await told(replaying, "POST", "/api/show", asked),
                "delete": await told(replaying, "DELETE", "/api/delete", asked),
            }
            rows["show"] = [200, "ok"] if rows["show"][0] == 200 else rows["show"]
            assert rows == {verb: row[verb][:2] for verb in rows}, row["name"]


async def told(session: Session, method: str, path: str, asked: dict[str, Any]) -> list[Any]:
    async with session.client.request(method, session.fake.url + path, json=asked) as response:
        text = await response.text()
        return [response.status, json.loads(text) if text else ""]
