"""What a page of the site has in it."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from attrs import define, field

DOCS = Path(__file__).parents[2] / "docs"


@define(eq=False)
class Page(HTMLParser):
    """A page that was read.

    Attributes:
        fetched: What a browser fetches to show it.
        links: Where it leads to.
        names: What can be led to in it.
    """

    fetched: list[str] = field(factory=list)
    links: list[str] = field(factory=list)
    names: set[str] = field(factory=set)

    def __attrs_post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.names.add(value)
            elif name == "href" and tag == "a" and value:
                self.links.append(value)
            elif name in ("src", "srcset", "href", "data", "poster") and value:
                self.fetched.append(value)


def read(path: Path) -> Page:
    """Return the page in the file *path*."""
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def pages(site: Path) -> Iterator[tuple[Path, Page]]:
    """Yield every page of the *site* with its file."""
    for path in sorted(site.rglob("*.html")):
        yield path, read(path)
