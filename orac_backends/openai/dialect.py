"""What kinds of servers know beyond OpenAI's API, and how to tell them apart. Pure.

What a server does not know is not sent to it: some refuse the whole request for it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from attrs import field, frozen


@frozen
class Dialect:
    """What one kind of server knows beyond OpenAI's API.

    Attributes:
        options: Names of options that only some know, each with what this one calls it.
        within: Keys below which those stand in a request; none for beside all others.
        raw_schema: Field that holds the continuation of a text to a schema; None for no way.
        version: Path that tells its version, below the base address, and the keys to it there.
    """

    options: Mapping[str, str] = field(factory=dict)
    within: tuple[str, ...] = ()
    raw_schema: Literal["json_schema", "response_format"] | None = None
    version: tuple[str, tuple[str, ...]] | None = None

    def fields(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the options *given* that it knows, as fields of a request."""
        known = {name: given[ours] for ours, name in self.options.items() if ours in given}
        for key in reversed(self.within):
            known = {key: known} if known else {}
        return known


def _same(*names: str) -> dict[str, str]:
    return dict(zip(names, names, strict=True))


_SAMPLING = _same("top_k", "min_p", "repeat_penalty")

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {
        "openai": Dialect(),
        # Its whole health would ask its backends, of which who asks for it may be one.
        "orac": Dialect(_SAMPLING, ("orac", "options"), None, ("health/live", ("version",))),
        "llama.cpp": Dialect(
            _SAMPLING | _same("ignore_eos"), (), "json_schema", ("../props", ("build_info",))
        ),
        "vllm": Dialect(
            _same("top_k", "min_p", "ignore_eos") | {"repeat_penalty": "repetition_penalty"},
            (),
            "response_format",
            ("../version", ("version",)),
        ),
        "lmstudio": Dialect(_SAMPLING),
    }
)
"""By name; ``openai`` is what every one of them speaks."""

SPECIFIC = ("top_k", "min_p", "repeat_penalty", "ignore_eos")
"""Options that OpenAI's API does not have."""

_OWNERS = {"llamacpp": "llama.cpp", "vllm": "vllm", "organization_owner": "lmstudio"}


def told_by(entry: Mapping[str, Any]) -> str:
    """Return the name of the dialect that an entry of a server's list of models gives away."""
    if {"instance", "kind", "state"} <= entry.keys():
        return "orac"
    return _OWNERS.get(str(entry.get("owned_by")), "openai")
