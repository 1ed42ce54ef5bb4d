"""What the Dockerfile says."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from orac_core import StateDirectory
from tests.packaging.dockerfile import ROOT, parsed

OPENING, UV, BUILD, FINAL = parsed((ROOT / "Dockerfile").read_text())
PYTHON = (3, 12)
GLIBC_OF_JETPACK_6 = (2, 35)
SECRET = re.compile(r"token|secret|password|passwd|api_?key|credential", re.IGNORECASE)


def test_the_base_image_is_the_builders_choice_and_ollamas_for_the_jetson_by_default():
    assert OPENING.only("ARG").value == "BASE_IMAGE=dustynv/ollama:r36.4.3"
    assert FINAL.base == "${BASE_IMAGE}"


def test_every_other_base_image_has_a_version():
    assert re.fullmatch(r"ghcr\.io/astral-sh/uv:\d+\.\d+\.\d+", UV.base)
    assert ":" in BUILD.base
    assert "latest" not in BUILD.base


def test_what_runs_is_not_root():
    assert FINAL.all("USER")[-1].value == "10001"
    after = FINAL.instructions[FINAL.instructions.index(FINAL.all("USER")[-1]) :]
    assert not [each for each in after if each.word in {"RUN", "COPY"}]


def test_only_oracs_port_is_exposed():
    assert [each.value for each in FINAL.all("EXPOSE")] == ["8000"]


def test_ollama_listens_inside_alone_and_keeps_its_models_with_the_state():
    environment = FINAL.environment
    assert environment["OLLAMA_HOST"] == "127.0.0.1:11434"
    assert environment["OLLAMA_MODELS"].startswith(environment["HOME"])


def test_what_orac_keeps_over_a_restart_is_in_the_volume_of_the_state():
    kept = StateDirectory.of(FINAL.environment).path
    compose = (ROOT / "docker-compose.yml").read_text()
    (volume,) = re.findall(r"^ +- state:(.+)$", compose, re.MULTILINE)
    assert kept.is_relative_to(volume)


def test_no_secret_stands_in_it():
    for stage in (OPENING, UV, BUILD, FINAL):
        for each in (*stage.all("ENV"), *stage.all("ARG")):
            assert not SECRET.search(each.value)


def test_it_starts_the_service_with_the_manifest_that_is_shipped():
    words = FINAL.only("ENTRYPOINT").listed + FINAL.only("CMD").listed
    manifest = FINAL.environment["ORAC_MANIFEST"]
    assert words == [
        *("/opt/orac/bin/orac", "serve", "--host", "0.0.0.0", "--manifest"),
        manifest,
    ]
    assert FINAL.all("COPY")[-1].value == f"packaging/container/orac.toml {manifest}"


def test_models_are_mounted_and_no_volume_is_made_for_them():
    assert not FINAL.all("VOLUME")


def test_hadolint_finds_nothing():
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_uv_is_of_one_version_in_the_image_and_in_the_tests():
    done = subprocess.run([uv(), "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.split()[1].split(".")[:2] == UV.base.rpartition(":")[2].split(".")[:2]


def uv() -> str:
    return str(Path(sys.executable).with_name("uv"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root adds users, as the build of an image does")
@pytest.mark.parametrize("gids", [(44, 104), (39, 105)])
@pytest.mark.parametrize("base", ["video:x:44:\n", "video:x:44:\nother:x:104:\nrender:x:991:\n"])
def test_the_user_belongs_to_the_groups_of_the_hosts_gpu(tmp_path, gids, base):
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "group").write_text(f"root:x:0:\n{base}")
    (etc / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (etc / "shadow").touch()
    done = subprocess.run(
        ["sh", "-ec", f"{STAND_INS}\n{FINAL.only('RUN').value}"],
        env={**os.environ, "ROOT": str(tmp_path), **dict(zip(GIDS, map(str, gids), strict=True))},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    groups = dict(
        re.findall(r"^(\w+):\w*:(\d+:.*)$", (etc / "group").read_text(), flags=re.MULTILINE)
    )
    assert groups["video"] == f"{gids[0]}:orac"
    assert groups["render"] == f"{gids[1]}:orac"
    assert "orac:x:10001:10001::/var/lib/orac:/usr/sbin/nologin" in (etc / "passwd").read_text()
    assert done.stdout.splitlines() == [
        "--directory --owner=orac --group=orac --mode=0700 /var/lib/orac",
        "--directory --mode=0755 /etc/orac /models/gguf",
    ]


GIDS = ("VIDEO_GID", "RENDER_GID")
STAND_INS = """
PATH=$PATH:/usr/sbin
groupadd() { command groupadd --prefix "$ROOT" "$@"; }
groupmod() { command groupmod --prefix "$ROOT" "$@"; }
useradd() { command useradd --prefix "$ROOT" "$@"; }
install() { echo "$@"; }
"""


def test_every_package_has_a_wheel_for_the_jetson():
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    packages = {each["name"]: each for each in lock["package"]}
    lacking = [
        name
        for name in needed(packages)
        if not any(fits(wheel["url"]) for wheel in packages[name].get("wheels", []))
    ]
    assert lacking == []


def needed(packages: dict) -> set[str]:
    """Return the names of all packages that ORAC needs at run time on Linux."""
    found: set[str] = set()
    wanted = [each["name"] for each in packages["orac"]["dependencies"]]
    while wanted:
        name = wanted.pop()
        if name not in found:
            found.add(name)
            dependencies = packages[name].get("dependencies", [])
            wanted += [each["name"] for each in dependencies if on_linux(each.get("marker", ""))]
    return found


def on_linux(marker: str) -> bool:
    return "== 'win32'" not in marker and not marker.startswith("python_full_version < '3.1")


def fits(url: str) -> bool:
    """Tell whether a wheel runs on the image's Python, on aarch64, with the glibc of JetPack 6."""
    python, abi, platforms = url.removesuffix(".whl").rpartition("/")[2].rsplit("-", 3)[1:]
    if platforms == "any":
        return "py3" in python.split(".")
    interpreter = "".join(map(str, PYTHON))
    good_abi = abi == f"cp{interpreter}" or (abi == "abi3" and int(python[3:]) <= PYTHON[1])
    return good_abi and any(runs_on_jetson(each) for each in platforms.split("."))


def runs_on_jetson(platform: str) -> bool:
    if platform == "manylinux2014_aarch64":
        return True
    found = re.fullmatch(r"manylinux_(\d+)_(\d+)_aarch64", platform)
    return found is not None and (int(found[1]), int(found[2])) <= GLIBC_OF_JETPACK_6


def test_the_python_whose_wheels_are_looked_for_is_the_images():
    assert BUILD.environment["UV_PYTHON"] == ".".join(map(str, PYTHON))


def test_the_build_gets_nothing_that_it_does_not_need():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    let_in = [line[1:] for line in lines if line.startswith("!")]
    assert all((ROOT / name).exists() for name in let_in)
    copied = json.dumps([each.value for stage in (BUILD, FINAL) for each in stage.all("COPY")])
    assert "packaging/container/orac.toml" in copied
    assert "packaging/container/orac.toml" in let_in
