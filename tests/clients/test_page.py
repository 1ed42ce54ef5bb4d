"""The page about clients: its programs run, those whose client is installed."""

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.docs.test_docs import ROOT, of_page
from tests.processes import serving

PAGE = ROOT / "docs/how-to/openai-clients.md"
PROGRAMS = [
    block
    for block in of_page(PAGE)
    if block.language == "python"
    and all(map(find_spec, re.findall(r"^(?:import|from) (\w+)", block.text, re.MULTILINE)))
]


@pytest.fixture(scope="module")
def url():
    with serving("--demo") as running:
        yield running.url


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_the_programs_of_the_page_run(program, url, tmp_path):
    text = program.text.replace("http://127.0.0.1:8000", url)
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
