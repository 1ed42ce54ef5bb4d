"""The variables of the environment: those that code reads, and those that pages name."""

import ast
import re
from functools import cache
from itertools import chain

from orac_core.manifest import variables
from tests.docs.test_docs import PAGES, ROOT

OURS = re.compile(r"(?:ORAC|OLLAMA|LLM|OTEL)_[A-Z_]*[A-Z]")
INSIDE = {"ORAC_KEPT_TOKEN"}
"""What ORAC hands to processes of its own."""

OF_OTHERS = re.compile(r"OTEL_\w+|OLLAMA_(?:FLASH_ATTENTION|KV_CACHE_TYPE|IMAGE)")
"""What programs read that are not ORAC, or libraries that it uses."""

WRONG_ON_PURPOSE = {"ORAC_SERVER_PROT"}


def test_every_variable_that_code_reads_is_on_a_page():
    assert read_by_code() - INSIDE - on_pages() == set()


def test_every_variable_on_a_page_is_one_that_something_reads():
    known = read_by_code() | set(variables()) | read_by_packaging()
    lacking = {each for each in on_pages() - known if not OF_OTHERS.fullmatch(each)}
    assert lacking - with_files(known) == WRONG_ON_PURPOSE


def with_files(names: set[str]) -> set[str]:
    """Return the variables that name a file with what the one of *names* would have said."""
    return {f"{name}_FILE" for name in names if name.endswith("TOKEN")}


@cache
def read_by_code() -> frozenset[str]:
    folders = ("orac_core", "orac_backends", "orac_server", "examples")
    modules = chain.from_iterable((ROOT / each).rglob("*.py") for each in folders)
    return frozenset(
        node.value
        for module in modules
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and OURS.fullmatch(node.value)
    )


def read_by_packaging() -> set[str]:
    """Return what images and units read, and tests that are told how long to try."""
    files = [ROOT / "Dockerfile", ROOT / "docker-compose.yml"]
    found = chain(files, (ROOT / "packaging").rglob("*"), (ROOT / "tests/server").glob("*.py"))
    texts = (path.read_text(errors="replace") for path in found if path.is_file())
    return {name for text in texts for name in OURS.findall(text)}


@cache
def on_pages() -> frozenset[str]:
    pages = [*PAGES, *(ROOT / "examples").rglob("README.md")]
    return frozenset(name for page in pages for name in OURS.findall(page.read_text()))
