"""The reference is generated: what pages say of the code is what the code says."""

import subprocess
import sys
from importlib import import_module

import pytest

from tests.docs.test_docs import ROOT

SCRIPT = ROOT / "scripts/reference.py"


@pytest.fixture(scope="module")
def reference():
    """The script as a module, for a look at its parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))
        yield import_module("reference")


def test_pages_say_what_the_code_says():
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_is_generated_is_put_between_its_markers_and_nowhere_else(reference):
    page = "before\n<!-- generated: a b -->\nold\n<!-- end -->\nafter\n"
    made = reference.filled(page, {"a b": "new"})
    assert made == "before\n<!-- generated: a b -->\n\nnew\n\n<!-- end -->\nafter\n"
    assert reference.filled(made, {"a b": "new"}) == made


def test_what_is_new_in_the_code_is_missed_and_what_is_gone_is_named(reference):
    assert reference.strange({"new": ""}, []) == [
        "<!-- generated: new --> and <!-- end --> stand on no page"
    ]
    assert reference.strange({}, ["gone"]) == [
        "there is no 'gone' in the code; take its marker away"
    ]
    assert reference.strange({"a": ""}, ["a", "a"]) == ["'a' stands on more than one page"]
