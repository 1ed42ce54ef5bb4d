"""Write into the pages of the documentation what the code knows, between its markers.

    python scripts/reference.py          # writes
    python scripts/reference.py --check  # says what is not as the code has it, and exits with 1

A marker is ``<!-- generated: TOPIC NAME -->``; what is generated ends with ``<!-- end -->``.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from facts import sections

DOCS = Path(__file__).parents[1] / "docs"
PART = re.compile(r"(<!-- generated: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Rewrite the pages, or check them."""
    known, pages = sections(), sorted(DOCS.rglob("*.md"))
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    marked = [name for text in texts.values() for _, name, _ in PART.findall(text)]
    faults = [*strange(known, marked)]
    changed = {page: made for page, text in texts.items() if (made := filled(text, known)) != text}
    if "--check" in sys.argv[1:]:
        faults += [f"{page.relative_to(DOCS)} is not as the code has it" for page in changed]
    else:
        for page, text in changed.items():
            page.write_text(text, encoding="utf-8")
    if faults:
        raise SystemExit("\n".join((*faults, "run `python scripts/reference.py`")))


def filled(text: str, known: Mapping[str, str]) -> str:
    """Return the text of a page with everything that is generated made anew."""

    def made(found: re.Match[str]) -> str:
        return f"{found[1]}\n{known.get(found[2], found[2])}\n\n{found[3]}"

    return PART.sub(made, text)


def strange(known: Mapping[str, str], marked: list[str]) -> list[str]:
    """Return what is wrong with the markers: gone, unknown or twice."""
    lacking = [
        f"<!-- generated: {it} --> and <!-- end --> stand on no page"
        for it in known.keys() - marked
    ]
    gone = [
        f"there is no {it!r} in the code; take its marker away" for it in marked if it not in known
    ]
    twice = [f"{it!r} stands on more than one page" for it in known if marked.count(it) > 1]
    return sorted((*lacking, *gone, *twice))


if __name__ == "__main__":
    main()
