"""The page on clusters, held to what the kind takes; what it shows is run in tests/ray."""

import tomllib

import pytest

from orac_backends.ray import RaySettings
from orac_core.manifest import parse
from orac_core.manifest.structure import structure
from tests.docs.test_docs import ROOT, blocks

PAGE = ROOT / "docs/how-to/ray.md"
BLOCKS = [block for block in blocks("toml") if block.page == PAGE]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_manifest_on_the_page_is_taken_by_the_kind(block):
    for entry in parse(tomllib.loads(block.text), "the page").backends.values():
        assert structure(entry.settings, RaySettings, "the page").models
