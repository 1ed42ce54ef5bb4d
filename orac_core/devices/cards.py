"""All GPUs of the machine, and which of them programs are to see."""

from collections.abc import Iterable, Iterator, Sequence

from attrs import frozen

from . import nvidia
from .source import Source
from .values import Card

DEADLINE_S = 5.0
"""How long NVML may take: a card that nothing uses may have to wake first."""


@frozen
class Cards:
    """What NVML lists.

    Attributes:
        found: The GPUs, in its order; empty when there is none, or nothing is said.
        silence: Why it says nothing; empty when it does.
    """

    found: tuple[Card, ...] = ()
    silence: str = ""


async def cards(deadline_s: float = DEADLINE_S) -> Cards:
    """Return all GPUs that NVML lists now, off the event loop; it never raises.

    No CUDA context is made, so it takes none of their memory.
    """
    source = Source(nvidia.cards)
    found = await source.ask(deadline_s)
    source.close()
    return Cards(found or (), source.silence)


def visible(cards: Sequence[Card], variable: str | None) -> tuple[Card, ...]:
    """Return those of *cards* that ``CUDA_VISIBLE_DEVICES`` leaves to a program.

    It names numbers or beginnings of UUIDs with commas between; what stands behind the first
    that names none does not count ("CUDA Environment Variables", CUDA C++ Programming Guide).
    Numbers are taken in the order of the PCI bus. A part of a card (``MIG-…``) may be of any.

    Args:
        cards: All.
        variable: The value of the variable; None when it is not set.
    """
    if variable is None or "MIG-" in variable:
        return tuple(cards)
    return tuple(dict.fromkeys(_named(cards, variable.split(","))))


def _named(cards: Iterable[Card], words: Iterable[str]) -> Iterator[Card]:
    for word in words:
        wanted = word.strip()
        found = next((each for each in cards if _is(each, wanted)), None)
        if found is None:
            return
        yield found


def _is(card: Card, wanted: str) -> bool:
    if wanted.isascii() and wanted.isdigit():
        return card.index == int(wanted[:9])
    return bool(card.uuid) and wanted.startswith("GPU-") and str(card.uuid).startswith(wanted)
