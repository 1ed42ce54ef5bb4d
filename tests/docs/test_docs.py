"""What the documentation shows is run: commands, programs, manifests."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from itertools import takewhile
from pathlib import Path

import click
import pytest
from attrs import frozen

from orac_core.manifest import parse
from orac_server.cli import main
from tests.processes import serving

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md")) + [
    ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
RUNNABLE = {"python", "console", "toml", "json"}
SHOWN_ONLY = {"sh", "text", "mermaid", "html", "ini", "dockerfile", "yaml", "javascript", "gbnf"}
DEMO = ROOT / "orac_server" / "demo"
SHOWN_BACKEND = ROOT / "examples/plugins/orac-backend-phrases"


@frozen
class Block:
    """A fenced block of a page."""

    page: Path
    language: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    return [block for page in PAGES for block in of_page(page) if block.language in languages]


def of_page(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Block(page, match[1], match[2], line)


def test_every_block_says_in_which_language_it_is():
    known = RUNNABLE | SHOWN_ONLY
    for page in PAGES:
        fences = page.read_text().count("\n```")
        assert fences == 2 * len(list(of_page(page))), f"{page}: a fence without a language"
        assert {block.language for block in of_page(page)} <= known, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page}: {target}"


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_toml_is_a_manifest_that_is_accepted(block):
    data = tomllib.loads(block.text)
    if "project" not in data:
        assert parse(data, str(block)) is not None
    else:
        assert "orac" in data["project"]["entry-points"]


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_is_json(block):
    assert json.loads(block.text) is not None


ELSEWHERE = {
    "openai-clients.md",  # they need a server: see tests/clients
    "first-backend.md",  # they are pieces of one module: see test_tutorial.py
}
PROGRAMS = [block for block in blocks("python") if block.page.name not in ELSEWHERE]


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_python_runs(block, tmp_path):
    environ = {**os.environ, "ORAC_MODELS_DIR": str(DEMO), "HOME": str(tmp_path)}
    environ["PYTHONPATH"] = str(SHOWN_BACKEND)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.text],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def server():
    with serving("--demo") as running:
        yield running.url


def test_commands_print_what_the_first_steps_show(server, tmp_path):
    environ = environment(server, ORAC_MODELS_DIR=str(DEMO))
    page = ROOT / "docs/tutorial/first-steps.md"
    check_commands(page, environ, tmp_path, {"http://127.0.0.1:8000": server})


def environment(server, **more):
    """Return the environment in which the commands of a page find `orac` and its server."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "ORAC_URL": server, "PATH": path, **more}


def check_commands(page, environ, folder, replaced=None):
    """Run the commands of *page* in *folder* and hold their output to what the page shows."""
    for command, expected in commands_of(page):
        for shown, meant in (replaced or {}).items():
            command = command.replace(shown, meant)  # noqa: PLW2901 - as this run needs it
        done = subprocess.run(
            command,
            shell=True,
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert pattern(expected).fullmatch(done.stdout.strip()), f"{command}\n{done.stdout}"


@pytest.mark.parametrize("block", blocks("console"), ids=str)
def test_commands_that_are_shown_are_commands_that_orac_takes(block, monkeypatch):
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"text")))
    for command, _ in commands_of_block(block):
        words = list(shlex.shlex(command, posix=True, punctuation_chars=True))
        if words[0] == "orac":
            arguments = list(takewhile(lambda word: word not in ("|", "<", ">"), words[1:]))
            name, found, rest = main.resolve_command(click.Context(main), arguments)
            assert found is not None
            assert found.make_context(name, rest) is not None


def commands_of(page: Path) -> Iterator[tuple[str, str]]:
    for block in of_page(page):
        if block.language == "console":
            yield from commands_of_block(block)


def commands_of_block(block: Block) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output.strip()


def pattern(expected: str) -> re.Pattern[str]:
    """Return what matches *expected*, in which … stands for anything."""
    parts = [re.escape(part.strip()) for part in expected.split("…")]
    return re.compile(r"[\s\S]*?\s*".join(parts) + (r"[\s\S]*" if parts[-1] == "" else ""))


def test_the_readmes_lines_are_the_ones_that_ci_runs():
    ci = (ROOT / ".ci/run").read_text()
    readme = (ROOT / "README.md").read_text()
    for words in ("orac serve --demo", "bin/tox"):
        assert f"readme_line '{words}'" in ci
        assert any(words in block for block in re.findall(r"```sh\n(.*?)```", readme, re.DOTALL))
