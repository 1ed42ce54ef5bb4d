"""Exchanges recorded from a real Ollama, and what of them an imitation has to have in common."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from attrs import frozen

DATA = Path(__file__).parents[1] / "data" / "ollama"
VERSIONS = ("0.32.15", "0.24.0")

_LOADED_NS = 30_000_000
"""A load took longer than this on the machine of the recordings, and an answer shorter."""

_EXACT = frozenset(
    {
        "capabilities",
        "cloud",
        "context_length",
        "done",
        "done_reason",
        "error",
        "family",
        "format",
        "model",
        "name",
        "parent_model",
        "role",
        "size_vram",
        "status",
        "system",
        "template",
        "version",
    }
)
_OPAQUE = frozenset(
    {"bytes", "model_info", "tensors", "context", "families", "license", "embeddings"}
)

_BLANKS = (
    (re.compile(r"[0-9a-fA-F]{64}"), "<digest>"),
    (re.compile(r"\S*/blobs"), "<blobs>"),
    (re.compile(r"\$LAB"), "<lab>"),
    (re.compile(r"\d+ tokens"), "<n> tokens"),
    (re.compile(r'prompt_tokens":\d+'), 'prompt_tokens":<n>'),
    (re.compile(r'tensor "[^"]+" offset\+size \(\d+\) exceeds file size \(\d+\)'), "<too short>"),
)


@frozen
class Case:
    """One exchange."""

    name: str
    request: dict[str, Any] | None
    response: dict[str, Any] | None
    observed: Any
    exception: str | None

    @property
    def asked(self) -> dict[str, Any]:
        assert self.request is not None, f"{self.name} has no request"
        return self.request

    @property
    def answered(self) -> dict[str, Any]:
        assert self.response is not None, f"{self.name} has no answer"
        return self.response

    @property
    def last(self) -> dict[str, Any]:
        """The object that ends the answer."""
        lines = self.answered.get("lines")
        found = lines[-1] if lines else self.answered.get("body")
        return found if isinstance(found, dict) else {}

    @property
    def loaded(self) -> bool | None:
        """Whether the answer had to wait for a load; None when it does not tell."""
        if "load_duration" in self.last:
            return self.last["load_duration"] > _LOADED_NS
        if self.last.get("done_reason") == "load":
            return self.answered["headers_after_ms"] * 1e6 > _LOADED_NS
        return None


def cases(version: str) -> list[Case]:
    """Return all cases of a version, in the order in which they were recorded."""
    return [_case(path) for path in sorted((DATA / version).glob("*.json"))]


def case(version: str, name: str) -> Case:
    return _case(DATA / version / f"{name}.json")


def _case(path: Path) -> Case:
    read = json.loads(path.read_text(encoding="utf-8"))
    parts = (read.get(part) for part in ("request", "response", "observed", "exception"))
    return Case(path.stem, *parts)


def header(case: Case, name: str) -> str | None:
    found = {key.lower(): value for key, value in case.answered["headers"]}
    return found.get(name.lower())


def blanked(text: str) -> str:
    """Return a text without what differs from one machine to the next."""
    for pattern, blank in _BLANKS:
        text = pattern.sub(blank, text)
    return text


def essence(given: Any, key: str = "") -> Any:
    """Return what two answers have in common when they mean the same."""
    if key in _OPAQUE:
        return type(given).__name__
    if isinstance(given, dict):
        told = {name: essence(value, name) for name, value in given.items() if _told(name, given)}
        return told | _counted(given)
    if key in _EXACT:
        return blanked(given) if isinstance(given, str) else given
    if key == "models":  # within a second, the real one lists them in any order
        given = sorted(given, key=lambda row: row["name"])
    if isinstance(given, list):
        return [essence(one, key) for one in given]
    if key == "expires_at":
        return datetime.fromisoformat(given).year > 2300
    return "number" if isinstance(given, int | float) else type(given).__name__


def _counted(given: dict[str, Any]) -> dict[str, Any]:
    """How many tokens there are says something when that was limited."""
    limited = given.get("done_reason") == "length"
    return {"eval_count": given["eval_count"]} if limited else {}


def _told(name: str, given: dict[str, Any]) -> bool:
    return name != "_omitted_lines" and given.get(name) is not None


def stream_essence(lines: list[dict[str, Any]]) -> Any:
    """Return each line that tells what goes on; of a stream of tokens each kind of line once."""
    told: list[Any] = []
    for line in lines:
        found = essence(line)
        if found and not ("done" in line and found in told):
            told.append(found)
    return told
