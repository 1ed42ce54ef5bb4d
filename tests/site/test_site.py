"""The documentation as a site: whole, and readable where there is no network."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import orac_core
import orac_core.testing
from tests.site.pages import DOCS, pages, read

ELSEWHERE = re.compile(r"""(?:url\(|@import)\s*["']?(?:https?:)?//""")


def test_every_page_is_in_the_site(site):
    written = [path for path in DOCS.rglob("*") if path.suffix in (".md", ".rst")]
    assert [it for it in written if not built(site, it).exists()] == []


def test_every_page_can_be_reached_from_the_first(site):
    start = read(site / "index.html")
    led_to = {(site / urlsplit(link).path).resolve() for link in start.links}
    written = {built(site, it) for it in DOCS.rglob("*.md")}
    assert written - led_to == set()


def test_nothing_is_fetched_from_another_host(site):
    foreign = {
        f"{path.name}: {address}"
        for path, page in pages(site)
        for address in page.fetched
        if urlsplit(address).netloc
    }
    assert foreign == set()


def test_no_style_sheet_fetches_from_another_host(site):
    sheets = [path for path in site.rglob("*.css") if ELSEWHERE.search(path.read_text())]
    assert sheets == []


def test_links_within_the_site_lead_to_a_place_that_is_there(site):
    found = {path.resolve(): page for path, page in pages(site)}
    lacking = [
        f"{path.relative_to(site.resolve())}: {link}"
        for path, page in found.items()
        for link in page.links
        if not (urlsplit(link).scheme or leads_somewhere(path, link, found))
    ]
    assert lacking == []


@pytest.mark.parametrize(
    ("module", "page"), [(orac_core, "api"), (orac_core.testing, "testing-api")]
)
def test_every_public_name_of_a_module_is_in_the_reference(site, module, page):
    before = f"{module.__name__}."
    names = read(site / f"reference/{page}.html").names
    inside = {name.removeprefix(before) for name in names if name.startswith(before)}
    assert {name for name in inside if "." not in name} == set(module.__all__)


def built(site: Path, page: Path) -> Path:
    """Return the file that a page of the documentation becomes."""
    return (site / page.relative_to(DOCS)).with_suffix(".html").resolve()


def leads_somewhere(path, link, found):
    to = urlsplit(link)
    target = (path.parent / to.path).resolve() if to.path else path
    if target not in found:
        return target.exists()
    return not to.fragment or to.fragment in found[target].names
