"""Names of models: what is one, and what it is called in full."""

import json
import re
from typing import Self

from attrs import frozen

_REGISTRY, _NAMESPACE, _TAG = "registry.ollama.ai", "library", "latest"

_PART = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"
_NAME = re.compile(
    r"(?:(?:(?P<host>[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349})/)?"
    r"(?P<namespace>[A-Za-z0-9_][A-Za-z0-9_-]{0,79})/)?"
    rf"(?P<model>{_PART})(?::(?P<tag>{_PART}))?"
)


@frozen
class Name:
    """A name in its four parts."""

    host: str
    namespace: str
    model: str
    tag: str

    @classmethod
    def of(cls, text: str) -> Self | None:
        """Return the name that a text is; None when it is none."""
        found = _NAME.fullmatch(text)
        if found is None:
            return None
        host, namespace, model, tag = found.group("host", "namespace", "model", "tag")
        return cls(host or _REGISTRY, namespace or _NAMESPACE, model, tag or _TAG)

    @property
    def short(self) -> str:
        """As lists show it: without what is usual, and always with the tag."""
        parts = [self.host, self.namespace, f"{self.model}:{self.tag}"]
        if self.host == _REGISTRY:
            parts = parts[1:] if self.namespace != _NAMESPACE else parts[2:]
        return "/".join(parts)

    @property
    def full(self) -> str:
        return "/".join((self.host, self.namespace, f"{self.model}:{self.tag}"))

    @property
    def key(self) -> str:
        """What two spellings of one name have in common."""
        return self.full.lower()

    @property
    def is_cloud(self) -> bool:
        return self.tag.lower() == "cloud" or self.tag.lower().endswith("-cloud")


def quoted(text: str) -> str:
    """Return a text in quotes, as Go writes it in errors."""
    return re.sub(r"\\u00(..)", r"\\x\1", json.dumps(text, ensure_ascii=False))
