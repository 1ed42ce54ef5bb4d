"""What the pages on packaging show, as far as it can be run without Docker, systemd or the net."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys

import click
import pytest
from attrs import frozen

from orac_server.cli import main
from tests.packaging.dockerfile import ROOT, parsed

PAGES = [
    ROOT / "docs/how-to" / f"{name}.md"
    for name in ("convert", "docker", "expose", "jetson", "systemd")
]
SH = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHIPPED = re.compile(r"(?<![\w/])(?:packaging|scripts)/[\w./-]+\w|docker-compose\.yml")
VARIABLE = re.compile(r"\$\{(\w+)")


@frozen
class Shown:
    """A command that a page shows; ``command`` as it would be run."""

    page: str
    text: str

    @property
    def command(self) -> list[str]:
        words = [word for word in shlex.split(self.text) if word != "sudo"]
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        return words

    def __str__(self) -> str:
        return f"{self.page}: {self.text[:60]}"


def shown() -> list[Shown]:
    return [
        Shown(page.stem, line)
        for page in PAGES
        for block in SH.findall(page.read_text())
        for line in block.replace("\\\n", " ").splitlines()
    ]


def of_orac(words: list[str]) -> list[str] | None:
    """Return the arguments of `orac` in a command, wherever that runs; None for another one."""
    words = words[4:] if words[:3] == ["docker", "compose", "exec"] else words
    return words[1:] if words and words[0].rpartition("/")[2] == "orac" else None


OF_ORAC = [each for each in shown() if of_orac(each.command) is not None]
INSTALLS = [each for each in shown() if each.command[:1] == ["install"]]
CONVERSIONS = [each for each in shown() if "scripts/convert_safetensors.py" in each.command]


@pytest.mark.parametrize("each", shown(), ids=str)
def test_every_command_is_shell(each):
    done = subprocess.run(["bash", "-nc", each.text], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_that_a_page_names_is_shipped(page):
    for name in SHIPPED.findall(page.read_text()):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("each", OF_ORAC, ids=str)
def test_commands_of_orac_are_ones_that_it_takes(each):
    name, found, rest = main.resolve_command(click.Context(main), of_orac(each.command))
    assert found.make_context(name, rest) is not None


@pytest.mark.parametrize("each", INSTALLS, ids=str)
def test_what_is_installed_ends_up_where_it_belongs(each, tmp_path):
    *words, target = each.command
    place = tmp_path / target.lstrip("/")
    subprocess.run([*words, place], cwd=ROOT, check=True)
    (mode,) = [word.rpartition("=")[2] for word in words if word.startswith("--mode=")]
    assert place.stat().st_mode & 0o777 == int(mode, 8)


@pytest.mark.parametrize("each", CONVERSIONS, ids=str)
def test_conversions_have_options_that_the_script_takes(each):
    spec = importlib.util.spec_from_file_location(
        "convert", ROOT / "scripts/convert_safetensors.py"
    )
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    at = each.command.index("scripts/convert_safetensors.py")
    options = script.parser().parse_args(each.command[at + 1 :])
    assert options.output.suffix == ".gguf"


def test_every_option_of_the_conversion_is_on_its_page():
    page = (ROOT / "docs/how-to/convert.md").read_text()
    script = ROOT / "scripts/convert_safetensors.py"
    done = subprocess.run(
        [sys.executable, script, "--help"],
        check=True,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    named = set(re.findall(r"^\| `(--\w+)", page, re.MULTILINE))
    assert named == set(re.findall(r"^  (?:-h, )?(--\w+)", done.stdout, re.MULTILINE)) - {"--help"}


def test_every_variable_of_the_compose_files_is_on_the_page():
    page = (ROOT / "docs/how-to/docker.md").read_text()
    files = ("docker-compose.yml", "packaging/container/beside-ollama.yml")
    for name in files:
        for variable in VARIABLE.findall((ROOT / name).read_text()):
            assert f"`{variable}`" in page


def test_the_way_without_compose_is_as_closed_as_the_way_with_it():
    (command,) = [each.command for each in shown() if each.command[:2] == ["docker", "run"]]
    *_, final = parsed((ROOT / "Dockerfile").read_text())
    gids = [each.value.partition("=")[2] for each in final.all("ARG")]
    for words in (
        ("--init",),
        ("--read-only",),
        ("--publish", "127.0.0.1:8000:8000"),
        ("--cap-drop", "ALL"),
        ("--security-opt", "no-new-privileges:true"),
        *(("--group-add", gid) for gid in gids),
    ):
        assert " ".join(words) in " ".join(command)


def test_the_user_of_systemds_page_is_the_units():
    added = [each.command for each in shown() if each.command[:1] == ["useradd"]]
    assert [words[-1] for words in added] == ["orac"]
    assert "User=orac" in (ROOT / "packaging/systemd/orac.service").read_text()
