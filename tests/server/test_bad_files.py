"""Bad files in the models folder: each is listed with its fault, refused, and stops nothing."""

import json
import os
import random
import re
import struct
import time
from http.client import HTTPConnection

import pytest

from tests.processes import orac_here, serving
from tests.raw_gguf import STRING, Raw, text
from tests.tiny_models import write

GOOD = "tiny-phi2"
AS_A_USER = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
    if os.geteuid() == 0
    else ()
)
"""Starts a program without root's right to read every file."""
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"


@pytest.fixture
async def folder(tmp_path):
    write(tmp_path, GOOD, stem="good")
    return tmp_path


@pytest.fixture
async def service(open_service, folder):
    return await open_service(models_dir=folder)


async def still_good(service):
    assert (await service.get("/v1/health")).status == 200
    asked = {"model": "good", "prompt": "hello", "options": {"max_tokens": 1}}
    assert (await service.post("/v1/prompt", asked)).status == 200


async def refused(service, name="bad"):
    """Return why the model is refused; the list and the load say the same."""
    listed = (await service.get(f"/v1/models/{name}")).body
    reply = await service.post(f"/v1/models/{name}/load")
    assert (reply.status, reply.error["code"]) == (422, "model_file_invalid")
    assert listed["state"] == "failed"
    assert listed["state_reason"] in reply.error["message"]
    assert listed["file"]["problem"] == listed["state_reason"]
    return reply.error["message"]


def whole(version: int = 3, order: str = "<") -> bytes:
    return b"GGUF" + struct.pack(f"{order}IQQ", version, 0, 0) + bytes(64)


def with_block(kind: int, length: int) -> bytes:
    return Raw().text("general.architecture", "llama").tensor("a", length, kind=kind).build()


CASES = {
    "p01_empty": (b"", "empty"),
    "p02_3_bytes": (b"GGU", "too small|truncated"),
    "p02_23_bytes": (whole()[:23], "too small|truncated"),
    "p03_ggml": (b"GGML" + bytes(100), "not a GGUF|no GGUF"),
    "p03_lower_case": (b"gguf" + bytes(100), "not a GGUF|no GGUF"),
    "p03_zip": (b"PK\x03\x04" + bytes(100), "not a GGUF|no GGUF|ZIP"),
    "p03_html": (b"<!doctype html><html>", "HTML"),
    "p03_lfs_pointer": (POINTER, "LFS"),
    "p04_version_0": (whole(0), "version 0"),
    "p04_version_1": (whole(1), "version 1"),
    "p04_version_99": (whole(99), "version 99"),
    "p04_big_endian": (whole(3, ">"), "big-endian"),
    "p07_duplicate_key": (
        Raw.whole().text("general.name", "a").text("general.name", "b").build(),
        "general.name",
    ),
    "p07_duplicate_tensor": (Raw.whole().tensor("a", 32).build(), "tensor.*'a'"),
    "p08_value_type_77": (Raw.whole().key("x", 77, b"").build(), "77"),
    "p09_no_tensors": (Raw().text("general.architecture", "llama").build(), "no tensors|tensor"),
    "p09_no_architecture": (Raw().tensor("a", 32).build(), "architecture"),
    "p10_one_byte_short": (Raw.whole().build()[:-1], "truncated"),
    "p11_half_a_block": (with_block(2, 33), "33|block"),
}


@pytest.mark.parametrize(("content", "words"), CASES.values(), ids=CASES)
async def test_a_bad_file_is_refused_in_words(service, folder, content, words):
    (folder / "bad.gguf").write_bytes(content)
    message = await refused(service)
    assert re.search(words, message), message
    assert message.startswith("bad.gguf: ")
    assert str(folder) not in message
    await still_good(service)


async def test_p05_a_file_cut_anywhere_is_refused(service, folder):
    content = (folder / "good.gguf").read_bytes()
    places = random.Random(5).sample(range(len(content)), 100)
    for place in places:
        (folder / f"cut-{place}.gguf").write_bytes(content[:place])
    for place in places:
        await refused(service, f"cut-{place}")
    await still_good(service)


async def test_p06_a_changed_byte_in_the_header_is_refused_or_harmless(service, folder):
    """A hundred seeds through the whole service; the header reader has a test of many more."""
    content = (folder / "good.gguf").read_bytes()
    for seed in range(100):
        chance = random.Random(seed)
        changed = bytearray(content)
        changed[chance.randrange(4, 3000)] ^= 1 << chance.randrange(8)
        (folder / f"changed-{seed}.gguf").write_bytes(changed)
    for seed in range(100):
        started = time.perf_counter()
        reply = await service.post(f"/v1/models/changed-{seed}/load")
        assert reply.status in (200, 422), (seed, reply.body)
        assert time.perf_counter() - started < 5
        await service.post(f"/v1/models/changed-{seed}/unload")
    await still_good(service)


async def test_p12_a_template_that_looks_like_code_is_not_run(service, folder, tmp_path):
    witness = tmp_path / "witness"
    template = "{{ ''.__class__.__mro__[1].__subclasses__() }}" + f"{{{{ open('{witness}','w') }}}}"
    write(folder, "tiny-qwen3-0.6b", stem="code", chat_template=template)
    asked = {"model": "code", "prompt": "hello", "options": {"max_tokens": 1}}
    assert (await service.post("/v1/prompt", asked)).status < 500
    assert not witness.exists()
    await still_good(service)


async def test_p12_a_template_of_a_megabyte_loads_or_is_refused(service, folder):
    write(folder, "tiny-qwen3-0.6b", stem="large", chat_template="x" * 1024**2)
    assert (await service.post("/v1/models/large/load")).status < 500
    await still_good(service)


def test_p13_a_file_that_may_not_be_read_is_refused_in_words(tmp_path):
    write(tmp_path, GOOD, stem="good")
    write(tmp_path, GOOD, stem="bad").chmod(0)
    with serving("--models-dir", tmp_path, prefix=AS_A_USER) as running:
        address = running.url
        status, listed = ask(address, "GET", "/v1/models/bad")
        assert (status, listed["state"]) == (200, "failed")
        status, refused = ask(address, "POST", "/v1/models/bad/load")
        assert (status, refused["error"]["code"]) == (422, "model_file_invalid")
        assert "permission" in refused["error"]["message"]
        assert ask(address, "POST", "/v1/models/good/load")[0] == 200


def ask(address: str, method: str, path: str):
    connection = HTTPConnection(address.removeprefix("http://"), timeout=60)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


async def test_p14_a_file_of_another_checksum_is_refused_and_both_are_shown_short(
    open_service, folder
):
    write(folder, GOOD, stem="bad")
    manifest = {"models": {"files": {"bad": {"checksum": "sha256:" + "0" * 64}}}}
    service = await open_service(models_dir=folder, manifest=manifest)
    reply = await service.post("/v1/models/bad/load")
    assert (reply.status, reply.error["code"]) == (422, "model_file_invalid")
    assert "checksum" in reply.error["message"]
    assert "0" * 64 not in reply.error["message"]
    assert await refused(service) == reply.error["message"]
    digest = (await service.get("/v1/models/bad")).body["file"]["sha256"]
    assert f"expected 00000000…, found {digest[:8]}…" in reply.error["message"]
    health = (await service.get("/v1/health")).body
    assert health["status"] == "degraded"
    assert "checksum" in health["errors"]["local/bad"]
    await still_good(service)


async def test_p15_names_that_differ_only_in_case_are_two_models(service, folder):
    write(folder, "tiny-phi2", stem="same")
    write(folder, "tiny-pythia", stem="SAME")
    architectures = {
        name: (await service.get(f"/v1/models/{name}")).body["architecture"]
        for name in ("same", "SAME")
    }
    assert architectures == {"same": "phi2", "SAME": "gptneox"}


async def test_p15_two_endings_of_one_stem_are_two_models(service, folder):
    write(folder, "tiny-phi2", stem="twin")
    write(folder, "tiny-pythia", stem="other").rename(folder / "twin.GGUF")
    listed = (await service.get("/v1/models")).body["data"]
    twins = {each["id"]: each["architecture"] for each in listed if "twin" in each["id"]}
    assert len(twins) == 2
    assert set(twins.values()) == {"phi2", "gptneox"}


async def test_p16_a_missing_part_is_named(service, folder):
    write(folder, GOOD, stem="bad", parts=3)
    (folder / "bad-00002-of-00003.gguf").unlink()
    assert "bad-00002-of-00003.gguf" in await refused(service)
    await still_good(service)


async def test_p17_a_model_that_appears_is_found_and_one_that_is_gone_is_404(service, folder):
    assert (await service.post("/v1/models/new/load")).status == 404
    path = write(folder, GOOD, stem="new")
    assert (await service.get("/v1/models/new")).status == 200
    path.unlink()
    assert (await service.post("/v1/models/new/load")).status == 404


async def test_the_text_of_a_file_is_no_markup_and_no_line_of_a_log(service, folder):
    key = text("evil\n\x1b[2J") + struct.pack("<I", STRING) + text("x")
    (folder / "bad.gguf").write_bytes(Raw(key_count=3).build()[:24] + key * 2)
    message = await refused(service)
    assert message.isprintable()


async def test_a_cut_file_says_how_much_of_it_is_there_in_numbers_to_read(service, folder):
    content = (folder / "good.gguf").read_bytes()
    (folder / "bad.gguf").write_bytes(content[:-1234])
    numbers = f"needs {len(content):,} bytes and has {len(content) - 1234:,}"
    assert numbers in await refused(service)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: write(folder, GOOD, stem="other"), "model 'bad' not found"),
        (lambda folder: (folder / "bad.gguf").write_bytes(b""), "the file is empty"),
        (lambda folder: (folder / "bad.gguf").write_bytes(POINTER), "a Git LFS pointer"),
        (lambda folder: (folder / "bad.gguf").write_bytes(b"<html>"), "an HTML page"),
    ],
    ids=["gone", "empty", "pointer", "page"],
)
def test_doctor_says_what_is_wrong_with_a_file_as_the_service_does(tmp_path, spoil, said):
    spoil(tmp_path)
    done = orac_here("doctor", "bad", "--models-dir", tmp_path)
    assert done.returncode == 1
    assert said in done.stdout


HOSTILE = ("$(id)", "; rm -rf x", "--help", "`id`", "a\nb")


async def test_p19_what_looks_like_a_command_in_a_manifest_is_a_name_and_starts_nothing(
    open_service, process, tmp_path
):
    manifest = {
        "backends": {"local": {"kind": "llamacpp"}},
        "models": {
            "aliases": {f"alias {name}": name for name in HOSTILE},
            "files": {name: {"load_at_start": True, "required": True} for name in HOSTILE},
        },
        "profiles": {"default": {"models": {f"role {name}": name for name in HOSTILE}}},
    }
    service = await open_service(models_dir=tmp_path, manifest=manifest)
    before = process.children(recursive=True)
    for name in HOSTILE:
        for asked in (name, f"alias {name}", f"role {name}", f"local/{name}"):
            reply = await service.post("/v1/models/load", {"model": asked})
            assert (reply.status, reply.error["code"]) == (404, "model_not_found")
    assert process.children(recursive=True) == before
