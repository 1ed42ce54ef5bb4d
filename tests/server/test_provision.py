"""`POST /v1/models/provision`, and roles whose models are fetched before their first use."""

import asyncio
import hashlib
import json

import pytest

from orac_core import BackendError
from tests.backends.file_server import FileServer, serving
from tests.fetching import SIZE, FetchingBackend
from tests.processes import orac_here
from tests.server.cli.conftest import alone  # noqa: F401 - a fixture

MANIFEST = {
    "backends": {"fake": {"kind": "scripted"}},
    "profiles": {
        "default": {
            "models": {
                "general": {"name": "small", "auto_download": True},
                "coding": "large",
                "lost": {"name": "any", "provider": "nobody"},
            }
        }
    },
}


@pytest.fixture
def backend():
    return FetchingBackend()


@pytest.fixture
async def service(open_service, backend):
    return await open_service(backend, manifest=MANIFEST)


def actions(body):
    return {each["role"]: each["action"] for each in body["roles"]}


async def test_without_a_body_every_role_is_provisioned(service):
    done = await service.post("/v1/models/provision")
    assert done.status == 200
    assert done.body["profile"] == "default"
    assert actions(done.body) == {
        "general": "downloaded",
        "coding": "downloaded",
        "lost": "skipped",
    }
    assert done.body["roles"][0]["fetched_bytes"] == SIZE


async def test_only_the_roles_that_are_named_are_provisioned(service, backend):
    done = await service.post("/v1/models/provision", {"roles": ["coding"]})
    assert actions(done.body) == {"coding": "downloaded"}
    assert [each.model for each in backend.pulls] == ["large"]


async def test_a_model_is_asked_for_by_its_name(service):
    done = await service.post("/v1/models/provision", {"models": ["fake/small"]})
    assert actions(done.body) == {"fake/small": "downloaded"}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"roles": "coding"}, "roles"),
        ({"source": "https://evil.example"}, "source"),
    ],
)
async def test_what_makes_no_sense_is_refused(service, backend, body, path):
    assert path in (await service.post("/v1/models/provision", body)).faults
    assert backend.pulls == []


async def test_a_stream_tells_how_far_it_is_and_ends_with_what_was_done(service, backend):
    gate = backend.hold("pull")
    asking = asyncio.create_task(service.events("/v1/models/provision", {"roles": ["general"]}))
    await backend.reached["pull"].wait()
    gate.set()
    *_, (name, data) = await asking
    assert name == "done"
    assert actions(data) == {"general": "downloaded"}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_role_that_there_is_not_is_404_also_for_a_stream(service, stream):
    done = await service.post("/v1/models/provision", {"roles": ["typo"], "stream": stream})
    assert (done.status, done.error["code"], done.error["param"]) == (
        404,
        "role_not_found",
        "roles",
    )
    assert "general, coding, lost" in done.error["message"]


async def test_a_request_can_name_no_host(service, backend):
    done = await service.post("/v1/models/provision", {"models": ["evil.example/a/b"]})
    assert actions(done.body) == {"evil.example/a/b": "skipped"}
    assert backend.pulls == []


async def test_a_prompt_for_a_model_that_is_still_coming_is_504_with_retry_after(service, backend):
    gate = backend.hold("pull")
    body = {"model": "general", "prompt": "hi"}
    late = await service.post("/v1/prompt", {**body, "deadline_ms": 50})
    gate.set()
    assert late.status == 504
    assert int(late.headers["Retry-After"]) >= 1
    assert "still being fetched" in late.error["message"]
    assert (await service.post("/v1/prompt", body)).status == 200


async def test_a_prompt_for_a_model_that_can_not_be_fetched_is_502(service, backend):
    backend.failures["pull"] = BackendError("the cable is out")
    failed = await service.post("/v1/prompt", {"model": "general", "prompt": "hi"})
    assert failed.status == 502
    assert "Retry-After" in failed.headers


async def test_what_was_done_is_an_event(service):
    async with service.session.get("/v1/events?kinds=provision") as response:
        await response.content.readuntil(b"\n\n")
        await service.post("/v1/models/provision", {"roles": ["general"]})
        found = await response.content.readuntil(b"\n\n")
    assert found.startswith(b"event: provision\n")
    assert b'"action":"downloaded"' in found


async def test_a_role_is_downloaded_and_answers(open_service, tiny_models, tmp_path):
    body = (tiny_models / "tiny-qwen3-0.6b.gguf").read_bytes()
    async with serving(FileServer(body=body)) as files:
        role = {
            "name": "fresh",
            "source": files.url("/a/b.gguf?name=../../c"),
            "checksum": f"sha256:{hashlib.sha256(body).hexdigest()}",
            "auto_download": True,
        }
        manifest = {
            "backends": {"local": {"kind": "llamacpp"}},
            "models": {"downloads": str(tmp_path / "new")},
            "profiles": {"default": {"models": {"general": role}}},
        }
        service = await open_service(manifest=manifest)
        asked = {"model": "general", "prompt": "hi", "options": {"max_tokens": 2}}
        assert (await service.post("/v1/prompt", asked)).body["model"] == "fresh"
        again = (await service.post("/v1/models/provision", {"force": True})).body["roles"]
    assert [each["action"] for each in again] == ["present"]
    assert len(files.sent) == 1
    assert [each.name for each in (tmp_path / "new").glob("[!.]*")] == ["fresh.gguf"]


@pytest.mark.usefixtures("alone")
async def test_the_commands_print_what_was_done(service, backend):
    url = service.url.rstrip("/")

    async def run(*arguments):
        return await asyncio.to_thread(orac_here, *arguments, "--url", url)

    done = await run("provision", "--roles", "general, coding")
    assert done.returncode == 0, done.stderr
    assert [line.split("\t")[:3] for line in done.stdout.splitlines()] == [
        ["ROLE", "ACTION", "MODEL"],
        ["general", "downloaded", "small"],
        ["coding", "downloaded", "large"],
    ]
    assert (await run("provision", "--roles", ",")).returncode == 2
    lost = await run("provision", "--roles", "lost", "--json")
    assert (lost.returncode, actions(json.loads(lost.stdout))) == (0, {"lost": "skipped"})
    assert (await run("pull", "lost")).returncode == 1
    backend.failures["pull"] = BackendError("the cable is out")
    failed = await run("provision", "--roles", "general", "--force")
    assert failed.returncode == 1
    assert "the cable is out" in failed.stderr
    pulled = await run("pull", "fake/large", "--json")
    assert actions(json.loads(pulled.stdout)) == {"fake/large": "present"}


@pytest.mark.usefixtures("alone")
def test_a_command_of_its_own_process_fetches_for_itself(tmp_path, monkeypatch):
    source = tmp_path / "there.gguf"
    source.write_bytes(b"no model")
    manifest = tmp_path / "orac.toml"
    manifest.write_text(
        f'[models]\ndownloads = "{tmp_path}/new"\n[backends.local]\nkind = "llamacpp"\n'
        f'[profiles.default.models.one]\nname = "one"\nsource = "{source}"\n'
    )
    monkeypatch.setenv("ORAC_MANIFEST", str(manifest))
    done = orac_here("provision")
    assert done.returncode == 1
    assert "working in this process" in done.stderr
    assert "one: local: there.gguf" in done.stderr
    assert done.stdout.splitlines()[1].split("\t")[:2] == ["one", "failed"]
