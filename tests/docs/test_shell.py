"""What pages show for a shell: it is shell, `orac` takes it, and what `curl` asks is answered."""

import re
import shlex
import subprocess
from io import StringIO
from itertools import dropwhile

import click
import pytest
from ruamel.yaml import YAML

from orac_server.cli import main
from orac_server.observing.table import TABLE
from tests.docs.test_docs import blocks, environment
from tests.processes import serving

SHELL = blocks("sh")
ADDRESS = "http://127.0.0.1:8000"
ASKED = [block for block in SHELL if "curl" in block.text and ADDRESS in block.text]
ENDS = re.compile(r"&&|\|\||[|;<>]")


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_what_is_shown_is_shell(block):
    done = subprocess.run(["bash", "-nc", block.text], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_orac_takes_what_is_shown(block, tmp_path):
    (tmp_path / "models/gguf").mkdir(parents=True)
    for arguments in of_orac(block.text.replace("~/models", f"{tmp_path}/models")):
        name, found, rest = main.resolve_command(click.Context(main), arguments)
        assert found is not None
        assert found.make_context(name, rest) is not None


@pytest.fixture(scope="module")
def server():
    with serving("--demo") as running:
        yield running.url


@pytest.mark.parametrize("block", ASKED, ids=str)
def test_what_curl_asks_is_answered(block, server, tmp_path):
    text = block.text.replace(ADDRESS, server).replace("curl ", "curl --fail --silent ")
    done = subprocess.run(
        ["bash", "-ec", text],
        cwd=tmp_path,
        env=environment(server),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "event: error" not in done.stdout


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_yaml_is_yaml(block):
    assert YAML(typ="safe").load(StringIO(block.text))


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_the_metrics_of_alerts_are_metrics_that_there_are(block):
    asked = set(re.findall(r"\b(orac_\w+?)(?:_bucket|_count|_sum)?[ {\[\n]", block.text))
    assert asked - {each.name for each in TABLE} == set()


def of_orac(text: str) -> list[list[str]]:
    """Return the arguments of each `orac` that a text for a shell starts."""
    lines = text.replace("\\\n", " ").splitlines()
    commands = [each for line in lines for each in parts(shlex.split(line, comments=True))]
    started = [[*dropwhile(is_setting, each)] for each in commands]
    return [words[1:] for words in started if words and words[0].rpartition("/")[2] == "orac"]


def parts(words: list[str]) -> list[list[str]]:
    """Return the commands of a line, and what they are redirected to."""
    found: list[list[str]] = [[]]
    for word in words:
        if ENDS.fullmatch(word):
            found.append([])
        else:
            found[-1].append(word)
    return found


def is_setting(word: str) -> bool:
    """Whether it is a variable that a command is given."""
    return bool(re.fullmatch(r"[A-Z_]+=.*", word))
