"""The page on roles, its manifest and its commands, with a server that stands in for Ollama."""

import json
import urllib.request

import pytest

from tests.docs.fake_program import fake_ollama
from tests.docs.test_docs import ROOT, check_commands, environment, of_page
from tests.processes import serving

PAGE = ROOT / "docs/how-to/roles.md"

UNCHANGED = (
    '{"profiles":{"default":{"models":{"general":{"name":"dolphin3","provider":"ollama",'
    '"auto_download":true,"parameters":{"top_p":0.9,"num_predict":512}},'
    '"coding":"dolphin3-llm2vec"}}}}'
)
"""A manifest as users have it."""


@pytest.fixture(scope="module")
def ollama():
    """The address of the fake with the model of the role; the value of OLLAMA_HOST."""
    with fake_ollama("dolphin3:latest") as url:
        yield url


def test_the_manifest_of_the_page_works_unchanged_and_its_commands_print_what_it_shows(
    ollama, tmp_path
):
    path = tmp_path / "configs" / "llm_models.json"
    path.parent.mkdir()
    path.write_text(UNCHANGED)
    shown = next(block.text for block in of_page(PAGE) if block.language == "json")
    assert json.loads(shown) == json.loads(UNCHANGED)
    variables = {"OLLAMA_HOST": ollama, "ORAC_MODELS_DIR": str(tmp_path)}
    with serving("--manifest", path, environ=variables) as server:
        check_commands(PAGE, environment(server.url, **variables), tmp_path)
        with urllib.request.urlopen(f"{server.url}/v1/profiles", timeout=30) as answer:
            found = json.load(answer)
    assert [each["models"] for each in found["roles"]] == [
        ["ollama/dolphin3"],
        ["dolphin3-llm2vec"],
    ]
