"""Versions of Ollama, and what is known to be wrong with old ones. Pure."""

import re

_SAFE = (0, 17, 1)
_NUMBERS = re.compile(r"\d+")


def parsed(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, ``0.32.15-rc1`` as (0, 32, 15); empty for none."""
    return tuple(map(int, _NUMBERS.findall(version.partition("-")[0])[:3]))


def holes(version: str) -> tuple[str, ...]:
    """Return a warning for a version with known holes; a build of one's own is 0.0.0."""
    numbers = parsed(version)
    if not any(numbers) or numbers >= _SAFE:
        return ()
    return (
        (
            f"Ollama {version} can be made to give away memory of other users by a file that it is "
            "told to create a model from (CVE-2026-7482, mended in 0.17.1); update it"
        ),
    )
