"""The page on servers that speak OpenAI's API: its commands against another ORAC, its settings."""

import tomllib

import pytest
from attrs import fields

from orac_backends.openai import OpenAISettings
from orac_core.manifest import parse
from orac_core.manifest.structure import structure
from tests.docs.test_docs import ROOT, blocks, check_commands, environment
from tests.processes import serving

PAGE = ROOT / "docs/how-to/openai-servers.md"
BLOCKS = [block for block in blocks("toml") if block.page == PAGE]


def test_the_commands_print_what_the_page_shows(tmp_path):
    manifest = tmp_path / "orac.toml"
    shown = BLOCKS[0].text
    with serving("--demo") as other:
        assert "http://192.168.1.20:8000" in shown
        manifest.write_text(shown.replace("http://192.168.1.20:8000", other.url))
        with serving("--manifest", manifest) as server:
            check_commands(PAGE, environment(server.url), tmp_path)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_manifest_on_the_page_is_taken_by_the_kind(block):
    for entry in parse(tomllib.loads(block.text), "the page").backends.values():
        assert structure(entry.settings, OpenAISettings, "the page").url


def test_every_setting_is_on_the_page():
    text = PAGE.read_text()
    named = {each.name for each in fields(OpenAISettings)} - {"key", "api_key"}
    assert all(f"| `{name}` |" in text for name in named)
    assert "`key` and `api_key` are refused" in text
