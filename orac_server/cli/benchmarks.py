"""What `orac bench` is asked: to measure, or to look at what was measured before."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from types import MappingProxyType
from typing import Any, Protocol

from attrs import field, frozen

from . import measured, past
from .client import Json
from .door import Door, open_door
from .output import note, waiting
from .written import Form, write

LIMITS = {
    "answer_over": "answer_over_s",
    "memory_over_mib": "memory_over_mib",
    "rate_under": "rate_under_tokens_per_second",
}
"""What ends a soak: the options, and the keys of the body."""

SAME = (
    *("suite", "rounds", "presets", "prompts", "max_tokens", "verify", "energy", "loads"),
    *("missions", "seed"),
)
"""The options that are keys of the body."""

EXPORTS = frozenset({"markdown", "html", "csv", "benchstat"})
"""The formats in which a report is text."""


class Asked(Protocol):
    """What the command is asked."""

    @property
    def forms(self) -> frozenset[str]:
        """The formats in which it can be written."""

    @property
    def show(self) -> Callable[[Json], None]:
        """Writes it for people."""

    async def ask(self, door: Door, form: Form) -> Json:
        """Do it."""

    def good(self, document: Json) -> bool:
        """Whether that what came of it is good."""


@frozen
class Measure:
    """A run.

    Attributes:
        body: The body of ``POST /v1/benchmark``, without what nobody has said.
    """

    body: Json
    forms: frozenset[str] = EXPORTS | {"table", "json"}
    show: Callable[[Json], None] = measured.show

    @classmethod
    def of(cls, models: tuple[str, ...], given: Mapping[str, Any]) -> "Measure":
        """Return what the command line says."""
        said = {"models": models, **{name: given[name] for name in SAME}}
        limit = {key: given[name] for name, key in LIMITS.items() if given[name] is not None}
        known = {name: it for name, it in said.items() if it not in (None, (), False)}
        if given["loads"] is False:
            known["loads"] = False
        return cls(known | ({"limit": limit} if limit else {}))

    async def ask(self, door: Door, form: Form) -> Json:  # noqa: ARG002 - of others it depends
        """Measure, and show on a terminal how far it is."""
        document: Json = {}
        try:
            async with aclosing(door.bench(self.body)) as events:
                with waiting("measuring") as line:
                    async for name, document in events:
                        if name == "progress":
                            line.show(progress(document))
        except asyncio.CancelledError:
            if document.get("id"):
                note(kept(document["id"]))
            raise
        return document

    def good(self, document: Json) -> bool:
        """Whether a model was measured, and nothing speaks against what came of it."""
        return measured.good(document)


@frozen
class History:
    """A look at what was measured before.

    Attributes:
        action: ``show``, ``compare``, ``listing`` or ``recommend``.
        names: What is shown, or the two that are compared.
        model: Only runs of this model are listed.
    """

    action: str
    names: Any
    model: str | None = None
    _shows: Mapping[str, Callable[[Json], None]] = field(
        default=MappingProxyType(
            {
                "show": measured.show,
                "compare": past.show_comparison,
                "listing": past.show_list,
                "recommend": past.show_recommendations,
            }
        ),
        init=False,
    )

    @property
    def forms(self) -> frozenset[str]:
        """All of a report's where one is shown."""
        more = {"show": EXPORTS, "compare": frozenset({"markdown"})}
        return frozenset({"table", "json"}) | more.get(self.action, frozenset())

    @property
    def show(self) -> Callable[[Json], None]:
        """Writes it for people."""
        return self._shows[self.action]

    async def ask(self, door: Door, form: Form) -> Json:
        """Look it up."""
        match self.action:
            case "show":
                return await door.benchmark(self.names, samples=form.name == "json")
            case "compare":
                old, new = self.names
                return await door.comparison(old, new)
            case "listing":
                return await door.benchmarks(self.model)
            case _:
                return await door.recommendations()

    def good(self, document: Json) -> bool:  # noqa: ARG002 - looking is no judging
        """Return True."""
        return True


async def work(asked: Asked, form: Form, url: str) -> bool:
    """Do what is *asked*, write it, and return whether it is good."""
    async with open_door(url) as door:
        document = await asked.ask(door, form)
        text = await _exported(door, document, form) if form.name in EXPORTS else None
    write(form, document, text, asked.show)
    return asked.good(document)


async def _exported(door: Door, document: Json, form: Form) -> str:
    """Return as text what a document tells: a run, or what changed from one to another."""
    if "id" in document:
        return await door.exported(document["id"], form.name)
    return await door.exported(document["new"], form.name, document["old"])


def progress(told: Json) -> str:
    """Return how far a run is, in one line."""
    what = told["message"] or told["stage"]
    count = f" {told['completed'] + 1} of {told['total']}" if told["total"] else ""
    return f"{what}{count}{': ' + told['model'] if told['model'] else ''}"


def kept(id_: str) -> str:
    """Return where what was measured until now is to be found."""
    return f"what was measured is kept as {id_}; see it with `orac bench --show {id_}`"
