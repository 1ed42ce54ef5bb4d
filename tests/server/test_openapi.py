"""The document of the interface: complete, valid, and true of real answers."""

import gzip
import hashlib
import json
import subprocess
import sys
from importlib.resources import files

import orjson
import pytest
from attrs import frozen, has
from openapi_spec_validator import validate

import orac_core
from orac_core import Rates
from orac_core.manifest import parse
from orac_server import schema
from orac_server.endpoint import Endpoint
from orac_server.errors import RULES
from orac_server.openapi import document
from orac_server.openapi.operations import OPERATIONS
from orac_server.openapi.specification import line
from orac_server.routes import endpoints
from orac_server.schema import classes
from tests.scripted import ScriptedBackend, plugins
from tests.server.published import check_events, conforms, published
from tests.server.serving import events, service

UI = files("orac_server") / "docs_ui"
PARTS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}


def operations():
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in published()["paths"].items()
        for method, operation in methods.items()
    ]


SAID: dict[str, dict] = {
    "POST /v1/prompt": {"prompt": "hi"},
    "POST /v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
    "POST /v1/completions": {"prompt": "hi"},
    "POST /v1/embeddings": {"input": "hi"},
}
OPERATION = pytest.mark.parametrize("said", [it for _, it in operations()], ids=dict(operations()))


@pytest.fixture
async def asked(tmp_path):
    """A service whose benchmarks are kept, and whose model is loaded."""
    backend = ScriptedBackend(words=("a ",) * 20, rates=Rates(1000.0, 100.0))
    opening = orac_core.open(
        parse({"backends": {"fake": {"kind": "scripted"}}}, "a test"),
        models_dir=tmp_path,
        plugins=plugins(backend),
        environ={"ORAC_STATE_DIR": str(tmp_path / "state")},
    )
    async with opening as manager, service(manager) as serving:
        await serving.post("/v1/models/small/load")
        yield serving


def test_a_server_that_nobody_asks_spares_the_document():
    code = (
        "import sys, orac_server.cli, orac_server; orac_server.create_app; "
        "import orac_server.routes; orac_server.routes.endpoints(); "
        "print(*(name for name in sys.modules if name.startswith('orac_server.openapi')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_document_is_valid():
    validate(published())


def test_every_endpoint_is_described_and_nothing_else():
    served = {line(each) for each in endpoints() if not each.part}
    assert served == set(OPERATIONS) == {name for name, _ in operations()}


def test_an_endpoint_that_is_not_described_is_named():
    async def handler(_request):
        raise NotImplementedError

    with pytest.raises(KeyError, match="GET /v1/new"):
        document([Endpoint("GET", "/v1/new", handler)])


def test_only_parts_of_pages_are_left_out():
    assert all("." in each.path.rpartition("/")[2] for each in endpoints() if each.part)


def test_operations_have_names_of_their_own():
    names = [said["operationId"] for _, said in operations()]
    assert len(names) == len(set(names))


def test_every_field_is_described():
    lacking = [
        f"{name}.{field}"
        for name, component in published()["components"]["schemas"].items()
        for field, found in component.get("properties", {}).items()
        if not found.get("description")
    ]
    assert lacking == []


def test_what_is_not_known_is_refused_or_never_sent_but_where_openais_clients_ask():
    components = published()["components"]["schemas"]
    objects = {name: it for name, it in components.items() if "properties" in it}
    taken = {name for name, it in objects.items() if it["additionalProperties"]}
    sent = [cls for each in OPERATIONS.values() if each.body for cls in classes(each.body.type)]
    assert taken == {cls.__name__ for cls in sent if is_open(cls)}
    assert all(cls.__module__.startswith("orac_server.openai") for cls in sent if is_open(cls))


def is_open(cls):
    return issubclass(cls, schema.Open)


def test_no_two_types_share_a_name():
    known = [each for it in OPERATIONS.values() for each in (*it.types, it.body and it.body.type)]
    found = {cls for kind in known for cls in classes(kind) if has(cls)}
    names = [cls.__name__ for cls in found]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "cls",
    [each.body.type for each in OPERATIONS.values() if each.body],
    ids=lambda cls: cls.__name__,
)
def test_a_body_is_published_as_it_is_checked(cls):
    for name, checked in schema.document(cls)["$defs"].items():
        shown = published()["components"]["schemas"][name]
        for key in ("required", "additionalProperties"):
            assert shown[key] == checked[key]
        assert set(shown["properties"]) == set(checked["properties"])


@frozen
class OpenBody(schema.Open):
    """A body of which unknown keys are accepted."""

    model: str


def test_an_open_body_takes_keys_that_it_does_not_know():
    assert schema.structure({"model": "small", "new": 1}, OpenBody) == OpenBody("small")
    assert schema.document(OpenBody)["$defs"]["OpenBody"]["additionalProperties"] is True


def test_every_error_of_the_library_is_described_somewhere():
    described = "".join(published()["components"]["responses"])
    assert {rule.code for rule in RULES.values() if rule.code not in described} == set()


@pytest.mark.parametrize("name", published()["components"]["responses"])
def test_the_examples_of_errors_are_errors(name):
    content = published()["components"]["responses"][name]["content"]["application/json"]
    for code, example in content["examples"].items():
        assert example["value"]["error"]["code"] == code
        conforms(example["value"], content["schema"], code)


@OPERATION
def test_examples_are_what_they_are_examples_of(said):
    sent = said.get("requestBody", {"content": {}})["content"]
    got = said["responses"]["200"]["content"]
    for media in (*sent.values(), *got.values()):
        for name, example in media.get("examples", {}).items():
            conforms(example["value"], media["schema"], name)


@OPERATION
def test_whatever_is_sent_or_answered_in_json_has_an_example(said):
    got = said["responses"]["200"]["content"].get("application/json")
    sent = said.get("requestBody", {"content": {}})["content"].get("application/json")
    assert sent is None or sent["examples"]
    assert got is None or got.get("examples") or said["operationId"] == "openapi"


@OPERATION
def test_the_scope_is_told(said):
    tokens = [each for each in said["security"] if each]
    assert said["description"].endswith(
        f"Scope: {tokens[0]['bearerAuth'][0] if tokens else 'open'}."
    )


async def test_every_operation_answers_as_it_is_described(asked):
    """Each answer is held to the document by the client of the tests."""
    run = await asked.post("/v1/benchmark", {"models": ["small"], "rounds": 1, "verify": True})
    answered = {"POST /v1/benchmark": run.status}
    for name, said in operations():
        method, path = name.split(" ")
        if name not in {"GET /v1/events", *answered}:
            body = said.get("requestBody") and {"model": "small"}
            bare = "{id}" in path or "benchmark" in path or "provision" in path
            path = path.replace("{id}", "latest" if "benchmark" in path else "small")
            sent = {"json": {} if bare else body | SAID.get(name, {})} if body else {}
            answered[name] = (await asked.ask(method, path, **sent)).status
    assert answered == dict.fromkeys(answered, 200)


@pytest.mark.parametrize(
    "query",
    ["samples=false", "format=csv", "format=markdown", "format=html", "format=benchstat"],
)
async def test_every_form_of_a_report_is_described(asked, query):
    await asked.post("/v1/benchmark", {"models": ["small"], "rounds": 1})
    assert (await asked.get(f"/v1/benchmarks/latest?{query}")).status == 200
    assert (await asked.get("/v1/benchmarks/latest?against=latest")).status == 200


async def test_events_are_as_they_are_described(asked):
    async with asked.session.get("/v1/events") as response:
        head = await response.content.readuntil(b"\n\n")
        await asked.post("/v1/prompt", {"model": "large", "prompt": "hi"})
        found = events(head)
        while found[-1][0] != "answer":
            found += events(await response.content.readuntil(b"\n\n"))
    assert {"hello", "model", "progress", "answer"} <= {name for name, _ in found}
    check_events("GET", "/v1/events", found)


async def test_the_document_is_not_sent_again_to_who_has_it(asked):
    first = await asked.get("/openapi.json")
    assert orjson.loads(orjson.dumps(first.body)) == published()
    known = {"If-None-Match": first.headers["ETag"]}
    again = await asked.ask("GET", "/openapi.json", headers=known)
    assert (again.status, again.body) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]


async def test_the_page_is_all_there_and_needs_no_other_host(asked):
    page = await asked.get("/docs")
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"://" not in page.body
    policy = page.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "img-src 'self' data:" in policy
    start = (await asked.get("/docs/start.js")).body.decode()
    assert "validatorUrl: null" in start


@pytest.mark.parametrize("encoding", ["gzip", "identity", "gzip;q=0"])
@pytest.mark.parametrize("name", PARTS)
async def test_what_the_page_is_made_of_comes_as_the_client_takes_it(asked, name, encoding):
    async with asked.session.get(
        f"/docs/{name}", headers={"Accept-Encoding": encoding}
    ) as response:
        assert response.headers.get("Content-Encoding") == ("gzip" if encoding == "gzip" else None)
        assert response.content_type == PARTS[name]
        assert hashlib.sha256(await response.read()).hexdigest() == lock()["sha256"][name]


def lock():
    return json.loads((UI / "swagger.lock.json").read_bytes())


def test_what_is_copied_of_swagger_ui_is_what_the_lock_file_says():
    kept = {each.name for each in UI.iterdir()} - {"index.html", "start.js", "swagger.lock.json"}
    assert {name.removesuffix(".gz") for name in kept} == set(lock()["sha256"])
    for name in kept:
        data = (UI / name).read_bytes()
        plain = gzip.decompress(data) if name.endswith(".gz") else data
        assert hashlib.sha256(plain).hexdigest() == lock()["sha256"][name.removesuffix(".gz")]
