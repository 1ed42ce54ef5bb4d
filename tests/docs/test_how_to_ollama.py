"""The commands of the page on Ollama, run against a server that stands in for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import fields

from orac_backends.ollama import OllamaSettings
from tests.docs.test_docs import ROOT, check_commands
from tests.processes import serving
from tests.tiny_models import write

PAGE = ROOT / "docs/how-to/ollama.md"


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """The fake as a program, with the model that the page names."""
    folder = tmp_path_factory.mktemp("ollama")
    code = (
        "import asyncio\n"
        "from tests.fake_ollama import FakeOllama\n"
        "async def main():\n"
        "    async with FakeOllama().serving() as fake:\n"
        "        fake.add_model('tinyllama:latest', size=600_000_000, context_length=2048)\n"
        "        print(fake.url, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        write(folder, "tiny-qwen3-0.6b")
        yield process.stdout.readline().strip(), folder
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_the_commands_print_what_the_page_shows(stand_in, tmp_path):
    url, folder = stand_in
    manifest = tmp_path / "orac.toml"
    manifest.write_text(f'[backends.ollama]\nkind = "ollama"\nurl = "{url}"\n')
    with serving("--manifest", manifest, "--models-dir", folder) as server:
        environ = {
            **os.environ,
            "ORAC_URL": server.url,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        check_commands(PAGE, environ, tmp_path)


def test_every_setting_is_on_the_page():
    text = PAGE.read_text()
    assert all(f"| `{each.name}` |" in text for each in fields(OllamaSettings))
