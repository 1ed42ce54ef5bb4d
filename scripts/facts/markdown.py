"""Markdown of which the generated parts of pages are made (pure)."""

from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(_cell(each) for each in line)} |" for line in lines)


def code(text: object) -> str:
    """Return *text* as code."""
    return f"`{text}`"


def codes(texts: Iterable[object]) -> str:
    """Return each of *texts* as code."""
    return " ".join(map(code, texts))


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
