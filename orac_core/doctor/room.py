"""How much room a device has left for models, and how risky that is (pure)."""

from collections.abc import Iterator
from typing import Literal

from attrs import field, frozen

from ..memory import size

Level = Literal["ok", "tight", "critical"]

_MIB = 1 << 20

WAITING_RATIO = 0.10
"""Programs that wait for memory a tenth of the time: pages come and go in place of work."""

STALLED_RATIO = 0.10
"""All of them at once. systemd-oomd ends programs at 0.6, over half a minute; an answer that
stands still for one second of ten is lost to a robot long before."""

SWAP_USED_RATIO = 0.5
"""A model reads all its weights for each token: with half of the swap in use some are likely to
lie there, and reports were of 17 tokens/s that became 2."""

SWAP_LEFT_RATIO = 0.10
"""earlyoom ends programs when memory and swap both have less than this left."""


@frozen
class Limits:
    """Below what a device is tight, and critical: the larger of a share and of an amount counts.

    Attributes:
        tight_ratio: Share of its memory.
        tight_bytes: Amount.
        critical_ratio: As above, of critical.
        critical_bytes: As above, of critical.
    """

    tight_ratio: float
    tight_bytes: int
    critical_ratio: float
    critical_bytes: int


MACHINE = Limits(0.10, 512 * _MIB, 0.05, 256 * _MIB)
"""Of memory that programs share. earlyoom ends programs at 10 % by SIGTERM and at 5 % by SIGKILL,
which are its defaults. What a long prompt takes while it is read, and a CUDA context, are a few
hundred MiB each."""

CARD = Limits(0.05, 512 * _MIB, 0.02, 256 * _MIB)
"""Of a GPU with memory of its own. Engines fill it on purpose, and nothing is ended when it is
full: the next allocation fails. Room for one more CUDA context, and for what a long prompt takes,
is wanted all the same."""


@frozen
class Wanted:
    """What who asks wants to be free; None for nothing in particular.

    Attributes:
        free_bytes: So much.
        free_ratio: Such a share of all, 0 to 1.
    """

    free_bytes: int | None = None
    free_ratio: float | None = None

    @property
    def anything(self) -> bool:
        """Whether anything is wanted."""
        return self.free_bytes is not None or self.free_ratio is not None


@frozen
class Room:
    """The memory of one device. None stands wherever the machine does not say.

    Attributes:
        total_bytes: All of it.
        free_bytes: What programs can have, page cache given back.
        owed_bytes: What models that are loaded may still take of that: what their loads were
            expected to take, beyond what they take now.
        waiting_ratio: Share of the last ten seconds in which some program waited for memory.
        stalled_ratio: Share in which all that had work did.
        swap_total_bytes: Size of the swap; 0 where there is none.
        swap_free_bytes: What is not used of it.
        limits: Below what it is tight, and critical.
    """

    total_bytes: int | None = None
    free_bytes: int | None = None
    owed_bytes: int = 0
    waiting_ratio: float | None = None
    stalled_ratio: float | None = None
    swap_total_bytes: int | None = None
    swap_free_bytes: int | None = None
    limits: Limits = MACHINE

    @property
    def left_bytes(self) -> int | None:
        """What is free once the models that are loaded have taken what they may."""
        return None if self.free_bytes is None else max(0, self.free_bytes - self.owed_bytes)

    @property
    def swap_used_ratio(self) -> float | None:
        """Share of the swap that is in use; None where there is none, or nothing is known."""
        if not self.swap_total_bytes or self.swap_free_bytes is None:
            return None
        return 1 - self.swap_free_bytes / self.swap_total_bytes


@frozen
class Risk:
    """How risky it is to go on like this.

    Attributes:
        level: How much so; None where too little is known.
        reasons: Why, with the numbers; the gravest first.
        short: Whether less is free than is wanted by who asks, or that can not be told.
    """

    level: Level | None
    reasons: tuple[str, ...] = field(default=())
    short: bool = False


def risk(room: Room, wanted: Wanted = Wanted()) -> Risk:
    """Return how risky it is to go on with so much *room*; less of it is never less risky.

    What is *wanted* and is not there counts as critical.
    """
    short, critical = tuple(_short(room, wanted)), tuple(_critical(room))
    tight = tuple(_tight(room))
    level: Level | None = "ok" if room.free_bytes is not None else None
    if tight:
        level = "tight"
    if critical or short:
        level = "critical"
    return Risk(level, (*short, *critical, *tight), bool(short))


def _short(room: Room, wanted: Wanted) -> Iterator[str]:
    free, total = room.free_bytes, room.total_bytes
    if not wanted.anything:
        return
    if free is None or (wanted.free_ratio is not None and not total):
        yield "what is free is not known, so what is wanted can not be promised"
        return
    if wanted.free_bytes is not None and free < wanted.free_bytes:
        yield f"{size(free)} is free, less than the {size(wanted.free_bytes)} that is wanted"
    if wanted.free_ratio is not None and total and free < wanted.free_ratio * total:
        yield f"{free / total:.1%} is free, less than the {wanted.free_ratio:.1%} that is wanted"


def _critical(room: Room) -> Iterator[str]:
    limits = room.limits
    yield from _below(room, limits.critical_ratio, limits.critical_bytes)
    if room.stalled_ratio is not None and room.stalled_ratio >= STALLED_RATIO:
        yield f"all programs waited for memory {room.stalled_ratio:.0%} of the last 10 s"
    used = room.swap_used_ratio
    if used is not None and used > 1 - SWAP_LEFT_RATIO and any(_below(room, SWAP_LEFT_RATIO, 0)):
        yield f"{used:.0%} of the swap is in use, too, so the kernel may soon end a program"


def _tight(room: Room) -> Iterator[str]:
    limits = room.limits
    if not any(_below(room, limits.critical_ratio, limits.critical_bytes)):
        yield from _below(room, limits.tight_ratio, limits.tight_bytes)
    if room.waiting_ratio is not None and room.waiting_ratio >= WAITING_RATIO:
        yield f"programs waited for memory {room.waiting_ratio:.0%} of the last 10 s"
    used = room.swap_used_ratio
    if used is not None and used > SWAP_USED_RATIO:
        yield f"{used:.0%} of the swap is in use ({_swapped(room)})"


def _below(room: Room, ratio: float, amount: int) -> Iterator[str]:
    left, total = room.left_bytes, room.total_bytes or 0
    least = max(amount, int(ratio * total))
    if left is None or left >= least:
        return
    what = f"{size(left)} is free"
    if room.owed_bytes:
        what = f"{size(left)} is left once the loaded models have taken all they may"
    share = f" ({left / total:.1%})" if total else ""
    yield f"{what}{share}, less than {size(least)}"


def _swapped(room: Room) -> str:
    return size((room.swap_total_bytes or 0) - (room.swap_free_bytes or 0))
