"""The image, built and started without Docker: its steps are run in a folder.

Three things differ from a real build. The interpreter is the one that runs the tests, as uv would
download the image's from outside; uv may use its cache; and there is no Ollama, as on a base image
without it.
"""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from attrs import frozen

from orac_core.manifest import read
from tests.packaging.dockerfile import ROOT, Stage, parsed
from tests.processes import ended, first_line

_, _, BUILD, FINAL = parsed((ROOT / "Dockerfile").read_text())
MAPPED = re.compile(r"(?<![\w.])/(?=(?:opt|etc|var|models|src)/)")
DEMO = ROOT / "orac_server" / "demo" / "orac-robot.gguf"


@frozen
class Image:
    """A folder that stands for the image's root."""

    root: Path

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def mapped(self, text: str) -> str:
        return MAPPED.sub(f"{self.root}/", text)

    def environment(self, stage: Stage, **more: str) -> dict[str, str]:
        """Return what the stage sets, and nothing of the tests' own environment."""
        path = os.environ["PATH"]
        values = {name: self.mapped(value) for name, value in stage.environment.items()}
        values["PATH"] = values.get("PATH", "$PATH").replace("$PATH", path)
        return values | more

    def files(self) -> set[Path]:
        """Return every file that only root may write in the real image."""
        return {path for part in ("opt", "etc") for path in (self.root / part).rglob("*")}


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    """The files that the build gets to see."""
    folder = tmp_path_factory.mktemp("context")
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            copy(ROOT / line[1:], folder / line[1:])
    return folder


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, ignore=ignored, dirs_exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


@pytest.fixture(scope="module")
def image(tmp_path_factory, context):
    """The image, with one model in the folder that would be mounted."""
    image = Image(tmp_path_factory.mktemp("image"))
    image.at("src").mkdir()
    build(image, context)
    for directory in ("var/lib/orac", "models/gguf"):
        image.at(directory).mkdir(parents=True)
    source, target = FINAL.all("COPY")[-1].value.split()
    copy(context / source, image.at(target))
    manifest = image.at(target)
    manifest.write_text(image.mapped(manifest.read_text()).replace("11434", str(free_port())))
    shutil.copy(DEMO, image.at("models/gguf"))
    return image


def build(image: Image, context: Path) -> None:
    """Carry out the steps of the build stage."""
    assert BUILD.only("WORKDIR").value == "/src"
    theirs = {"UV_PYTHON": sys.executable, "UV_PYTHON_PREFERENCE": "only-system"}
    # How this machine reaches package indexes stands in its environment, if anywhere.
    environment = os.environ | image.environment(BUILD) | theirs
    del environment["UV_NO_CACHE"]
    environment.pop("VIRTUAL_ENV", None)
    for each in BUILD.instructions:
        if each.word == "COPY" and not each.value.startswith("--from"):
            *sources, _ = each.value.split()
            for source in sources:
                copy(context / source, image.at("src") / source)
        elif each.word == "RUN" and "python install" not in each.value:
            run(image, each.value, environment)


def run(image: Image, command: str, environment: dict[str, str]) -> None:
    uv = shlex.quote(str(Path(sys.executable).with_name("uv")))
    done = subprocess.run(
        ["sh", "-ec", re.sub(r"\buv (?=sync|pip)", f"{uv} ", command)],
        cwd=image.at("src"),
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def service(image):
    """What the image starts, on a free port; yields where it listens."""
    words = FINAL.only("ENTRYPOINT").listed + FINAL.only("CMD").listed
    before = image.files()
    process = subprocess.Popen(
        [*map(image.mapped, words), "--port", "0", "--json"],
        cwd=image.mapped(FINAL.only("WORKDIR").value + "/"),
        env=image.environment(FINAL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield json.loads(first_line(process))
    finally:
        ended(process)
    assert process.returncode == 0
    assert image.files() == before


def token(service: dict) -> str:
    """Return the token that it made, as `docker exec … cat` shows it."""
    return Path(service["tokens"]["admin"].removeprefix("the file ")).read_text().strip()


def ask(service: dict, method: str, path: str, body=None, headers=None):
    port = urlsplit(service["url"]).port
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        data = None if body is None else json.dumps(body)
        sent = {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, path, data, sent)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_what_the_image_starts_is_alive_on_every_address(service):
    assert urlsplit(service["url"]).hostname == "0.0.0.0"
    assert ask(service, "GET", "/v1/health/live")[0] == 200


def test_p57_the_token_that_it_made_lies_in_the_volume_and_commands_beside_it_find_it(
    image, service
):
    file = image.at("var/lib/orac/state/admin-token")
    assert service["tokens"] == {"admin": f"the file {file}"}
    assert file.stat().st_mode & 0o777 == 0o600
    port = urlsplit(service["url"]).port
    listed = subprocess.run(
        [image.mapped("/opt/orac/bin/orac"), "list", "--json"],
        env=image.environment(FINAL, ORAC_URL=f"http://127.0.0.1:{port}"),
        check=True,
        capture_output=True,
        text=True,
    )
    assert "orac-robot" in listed.stdout


def test_containers_beside_it_may_call_it_by_its_name(service):
    assert ask(service, "GET", "/v1/health/live", headers={"Host": "orac:8000"})[0] == 200
    assert ask(service, "GET", "/v1/health/live", headers={"Host": "evil.example"})[0] == 403


def test_without_ollama_it_says_so_and_serves_the_mounted_models_on_the_cpu(service):
    status, health = ask(service, "GET", "/v1/health")
    assert (status, health["status"]) == (200, "degraded")
    assert "ollama" in health["errors"]
    prompt = {"model": "orac-robot", "prompt": "Move forward 1.5 meters"}
    assert ask(service, "POST", "/v1/prompt", prompt)[0] == 401
    headers = {"Authorization": f"Bearer {token(service)}"}
    status, answer = ask(service, "POST", "/v1/prompt", prompt, headers)
    assert (status, answer["instance"]) == (200, "local")
    assert json.loads(answer["response"])["action"] == "move"


def healthcheck(image: Image, url: str) -> subprocess.CompletedProcess[str]:
    options, words = FINAL.healthcheck
    return subprocess.run(
        list(map(image.mapped, words)),
        env=image.environment(FINAL, ORAC_URL=url),
        check=False,
        capture_output=True,
        text=True,
        timeout=int(options["timeout"].removesuffix("s")),
    )


def test_the_health_check_is_content_with_it(image, service):
    port = urlsplit(service["url"]).port
    done = healthcheck(image, f"http://127.0.0.1:{port}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_health_check_notices_that_nothing_answers(image):
    assert healthcheck(image, f"http://127.0.0.1:{free_port()}").returncode == 1


def test_commands_beside_the_service_read_the_same_manifest(image):
    assert Path(image.environment(FINAL)["ORAC_MANIFEST"]) == image.at("etc/orac/orac.toml")


@pytest.mark.parametrize("manifest", sorted((ROOT / "packaging/container").glob("*.toml")))
def test_manifests_prefer_ollama_and_fall_back_on_llama_cpp(manifest):
    backends = read(manifest).backends
    assert [each.kind for each in backends.values()] == ["ollama", "llamacpp"]
