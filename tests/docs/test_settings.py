"""Every setting that code has is on its page, and every setting on a page is one that code has."""

import re
import tomllib

import pytest
from attrs import fields

from orac_backends.llamacpp import LlamaCppSettings
from orac_backends.ollama import OllamaSettings
from orac_backends.openai import OpenAISettings
from orac_backends.python import PythonModel
from orac_backends.transformers import TransformersSettings
from orac_core import GenerateOptions, Plugins
from orac_core.manifest import (
    AdapterSettings,
    BenchmarkSettings,
    FileSettings,
    Manifest,
    ModelsSettings,
    Profile,
    RoleSettings,
    ServerSettings,
)
from orac_core.manifest.settings import Common
from tests.docs.test_docs import ROOT, of_page

MANIFEST = ROOT / "docs/reference/manifest.md"
KINDS = {
    "llamacpp": ("reference/llamacpp.md", LlamaCppSettings),
    "ollama": ("how-to/ollama.md", OllamaSettings),
    "openai": ("how-to/openai-servers.md", OpenAISettings),
    "python": ("how-to/python-models.md", PythonModel),
    "transformers": ("how-to/transformers.md", TransformersSettings),
}
REFUSED = {"key", "api_key"}
"""Settings of the kind `openai` that are there to be refused."""


def test_every_kind_that_ships_has_a_page():
    assert set(Plugins.discover().kinds) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_on_the_page_of_a_kind_has_its_settings_and_no_others(kind):
    page, settings = KINDS[kind]
    assert rows(page, "setting|key") == names(settings) - REFUSED


@pytest.mark.parametrize(
    ("settings", "table"),
    [
        (ServerSettings, "server"),
        (ModelsSettings, "models"),
        (BenchmarkSettings, "benchmark"),
        (FileSettings, "models.files.Qwen3-0_6B-Q4_K_M"),
        (Profile, "profiles.default"),
        (Common, "backends.local"),
    ],
)
def test_what_a_table_of_the_manifest_may_say_is_shown(settings, table):
    assert names(settings) - set(shown(table)) == set()


def test_every_table_of_the_manifest_is_shown():
    public = {name for name in names(Manifest) if name in whole()}
    assert {"profile", "server", "models", "benchmark", "backends", "profiles"} == public


def test_what_a_role_may_say_is_in_its_table():
    assert rows("reference/manifest.md", "key") == names(RoleSettings)


def test_what_an_adapter_may_say_is_told():
    text = MANIFEST.read_text()
    told = text.partition("## Adapters")[2].partition("##")[0]
    assert set(re.findall(r"`(\w+)`", told)) >= names(AdapterSettings)


def test_the_parameters_that_are_told_are_those_that_there_are():
    told = MANIFEST.read_text().partition("\n`parameters` may be ")[2].partition(", within")[0]
    assert set(re.findall(r"`(\w+)`", told)) - {"num_predict"} == names(GenerateOptions)


def names(settings: type) -> set[str]:
    return {each.name for each in fields(settings)}


def rows(page: str, head: str) -> set[str]:
    """Return the settings in the table of a page that has such a column."""
    text = (ROOT / "docs" / page).read_text()
    found = rf"^\| (?:{head}) \|.*\n\|[-| ]+\|\n((?:\|.*\n)+)"
    table = next(re.finditer(found, text, re.MULTILINE))[1]
    cells = re.findall(r"^\| (.*?) \|", table, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def whole() -> dict:
    """Return the manifest on the page that says everything it may."""
    return max(
        (tomllib.loads(it.text) for it in of_page(MANIFEST) if it.language == "toml"), key=len
    )


def shown(table: str) -> dict:
    found = whole()
    for key in table.split("."):
        found = found[key.replace("0_6B", "0.6B")]
    return found
