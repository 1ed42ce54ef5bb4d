"""The manifest on its page says everything that a manifest may say."""

import tomllib

import pytest
from attrs import fields

from orac_core.manifest import (
    BenchmarkSettings,
    FileSettings,
    Manifest,
    ModelsSettings,
    Profile,
    ServerSettings,
)
from orac_core.manifest.settings import Common
from tests.docs.test_docs import ROOT, of_page

MANIFEST = ROOT / "docs/reference/manifest.md"


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


def names(settings: type) -> set[str]:
    return {each.name for each in fields(settings)}


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
