"""What an examination finds: facts for programs, and a line for people on each of them."""

from collections.abc import Iterable
from typing import Any, Literal

from attrs import frozen

Level = Literal["good", "neutral", "warning", "bad"]


@frozen
class Finding:
    """One line of the report.

    Attributes:
        level: ``bad`` when something that was asked for does not work, ``warning`` when it works
            and could be better, ``neutral`` when there is nothing to judge.
        text: What was found; further lines belong to it.
        remedy: What to do about it.
    """

    level: Level
    text: str
    remedy: str | None = None


@frozen
class Section:
    """What was found out about one matter.

    Attributes:
        key: Its name, in the report and in JSON.
        facts: The facts, in plain JSON values.
        findings: The same for people.
    """

    key: str
    facts: Any
    findings: tuple[Finding, ...]


def failures(sections: Iterable[Section]) -> list[Finding]:
    """Return the findings that are bad."""
    return [each for section in sections for each in section.findings if each.level == "bad"]


def verdict(sections: Iterable[Section]) -> str:
    """Return the whole in one sentence."""
    sections = tuple(sections)
    bad = failures(sections)
    warnings = [
        each for section in sections for each in section.findings if each.level == "warning"
    ]
    if not bad:
        return f"all that was asked for works{_and_warnings(len(warnings))}"
    first = bad[0].text.splitlines()[0]
    others = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
    return f"does not work: {first}{others}"


def as_facts(sections: Iterable[Section]) -> dict[str, Any]:
    """Return everything as one JSON object."""
    sections = tuple(sections)
    return {
        "ok": not failures(sections),
        "verdict": verdict(sections),
        **{section.key: section.facts for section in sections},
        "findings": [
            {
                "section": section.key,
                "level": each.level,
                "text": each.text,
                "remedy": each.remedy,
            }
            for section in sections
            for each in section.findings
        ],
    }


def _and_warnings(number: int) -> str:
    if not number:
        return ""
    return f"; {number} warning{'s' * (number > 1)} above"
