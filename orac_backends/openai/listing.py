"""What a server says of its models (``GET /models``), as values. Pure.

OpenAI's API has an id and little more; what ORAC, llama.cpp, vLLM and others tell beside it is
taken where it makes sense, and passed over where it does not.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from orac_core import LoadedInfo, ModelInfo, ModelState

from . import fellow
from .dialect import told_by

_MOST = 2000
_LONGEST_ID = 256
_LONGEST_REASON = 300
_CONTEXTS = ("context_length", "max_model_len", "context_window", "max_context_length")
_WRITES = ("completion", "chat")
_EMBEDS = ("embedding",)


@frozen
class Entry:
    """A model as its server lists it; None for what that does not say.

    Attributes:
        id: What the server calls it.
        problem: Why the server can not serve it; None where it can.
        context_length: Tokens that it was made for, or is served with.
        facts: Other fields of a `ModelInfo`.
        state: What it is doing there; None where that is not told: then it is ready, or failed.
    """

    id: str
    problem: str | None = None
    context_length: int | None = None
    facts: Mapping[str, Any] = field(factory=dict)
    state: ModelState | None = None

    def without(self, own: int) -> "Entry":
        """Return the same without so many requests of one's own."""
        others = self.facts.get("others")
        if not (own and others):
            return self
        return evolve(self, facts={**self.facts, "others": max(0, others - own)})


@frozen
class Listing:
    """All models of a server.

    Attributes:
        entries: By what they are called here; None where the server has no such list.
        dialect: What the list gives away of the server.
    """

    entries: Mapping[str, Entry] | None = None
    dialect: str = "openai"

    def find(self, name: str) -> Entry | None:
        """Return the model of that name, here or there; None where none is listed."""
        known = self.entries or {}
        return known.get(name) or next((it for it in known.values() if it.id == name), None)

    def without(self, own: Mapping[str, int]) -> "Listing":
        """Return the same without one's own requests: so many, by what the server calls it."""
        if self.entries is None:
            return self
        less = {name: it.without(own.get(it.id, 0)) for name, it in self.entries.items()}
        return evolve(self, entries=less)


@frozen
class Wishes:
    """What the settings say of the models of a server.

    Attributes:
        names: Models to offer, each with what the server calls it; none for all that it lists.
        embeddings: Those that make vectors and no text.
        context_length: Of those of which the server does not say it.
        metered: Whether every question may cost something.
        relayed: Whether the server is another ORAC, as far as its list does not say so.
    """

    names: Mapping[str, str] = field(factory=dict)
    embeddings: frozenset[str] = frozenset()
    context_length: int | None = None
    metered: bool = True
    relayed: bool = False


def listing(told: Any, dialect: str | None = None) -> Listing:
    """Return the list that a server sent.

    Args:
        told: What it sent.
        dialect: What kind of server it is; None for what it says of itself.

    Raises:
        TypeError, LookupError: when it is none.
    """
    found = [each for each in told["data"][:_MOST] if isinstance(each, Mapping) and _named(each)]
    dialect = dialect or (told_by(found[0]) if found else "openai")
    if dialect != "orac":
        return Listing({str(each["id"]): _entry(each) for each in found}, dialect)
    named = fellow.unique(found).items()
    return Listing({name: _of_fellow(there, each) for name, (there, each) in named}, dialect)


def offered(found: Listing, wishes: Wishes, server: str) -> list[ModelInfo]:
    """Return the models to offer: those wished for, else all that the server lists."""
    names: Iterable[tuple[str, str]] = wishes.names.items()
    if not wishes.names:
        names = ((each, each) for each in found.entries or ())
    return [_offered(here, there, found, wishes, server) for here, there in names]


def _offered(here: str, there: str, found: Listing, wishes: Wishes, server: str) -> ModelInfo:
    entry = Entry(there) if found.entries is None else found.find(there)
    if entry is None:
        entry = Entry(there, f"{server} does not list {there!r}; correct `models`")
    context = entry.context_length or wishes.context_length
    info = ModelInfo(
        here,
        entry.state or (ModelState.READY if entry.problem is None else ModelState.FAILED),
        entry.problem,
        context_length=context,
        loaded=LoadedInfo(context_length=context) if entry.problem is None else None,
        remote=True,
        metered=wishes.metered,
        relayed=wishes.relayed,
    )
    info = evolve(info, **{"capabilities": _WRITES, **entry.facts})
    return evolve(info, capabilities=_EMBEDS) if here in wishes.embeddings else info


def _entry(told: Mapping[str, Any]) -> Entry:
    more = told["meta"] if isinstance(told.get("meta"), Mapping) else {}
    contexts = [*(told.get(name) for name in _CONTEXTS), more.get("n_ctx_train")]
    facts = {
        "size_bytes": _count(told.get("size_bytes")) or _count(more.get("size")),
        "parameters": _count(told.get("parameters")) or _count(more.get("n_params")),
        "architecture": _text(told.get("architecture")),
        "quantization": _text(told.get("quantization")),
        "capabilities": _texts(told.get("capabilities")),
    }
    return Entry(
        str(told["id"]),
        _problem(told),
        next(filter(None, map(_count, contexts)), None),
        {name: value for name, value in facts.items() if value},
    )


def _of_fellow(there: str, told: Mapping[str, Any]) -> Entry:
    """Return a model of another ORAC."""
    entry = _entry(told)
    more = {name: value for name, value in fellow.facts(told).items() if value is not None}
    facts = {**entry.facts, "loaded": None, **more}
    return evolve(entry, id=there, state=fellow.state(told), facts=facts)


def _named(told: Mapping[str, Any]) -> bool:
    """Whether an entry has an id that can stand in a line of text."""
    id_ = told.get("id")
    return isinstance(id_, str) and 0 < len(id_) <= _LONGEST_ID and id_.isprintable()


def _problem(told: Mapping[str, Any]) -> str | None:
    """Return why a model can not be served, as ORAC and the router of llama.cpp say it."""
    status = told.get("status")
    failed = isinstance(status, Mapping) and status.get("failed") is True
    if told.get("state") == "failed" or failed:
        return (_text(told.get("state_reason")) or "its server failed to load it")[:_LONGEST_REASON]
    return None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.isprintable() and value else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(filter(None, map(_text, value))) if isinstance(value, list) else ()
