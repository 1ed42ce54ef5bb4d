"""The commands of the page on Ollama, run against a server that stands in for it."""

import pytest

from tests.docs.fake_program import fake_ollama
from tests.docs.test_docs import ROOT, check_commands, environment
from tests.processes import serving
from tests.tiny_models import write

PAGE = ROOT / "docs/how-to/ollama.md"


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """The address of the fake with the model that the page names, and a folder with a file."""
    folder = tmp_path_factory.mktemp("ollama")
    write(folder, "tiny-qwen3-0.6b")
    with fake_ollama("tinyllama:latest") as url:
        yield url, folder


def test_the_commands_print_what_the_page_shows(stand_in, tmp_path):
    url, folder = stand_in
    manifest = tmp_path / "orac.toml"
    manifest.write_text(f'[backends.ollama]\nkind = "ollama"\nurl = "{url}"\n')
    with serving("--manifest", manifest, "--models-dir", folder) as server:
        check_commands(PAGE, environment(server.url), tmp_path)
