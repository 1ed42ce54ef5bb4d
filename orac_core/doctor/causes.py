"""What makes models slow, and what to do about each of it."""

from enum import StrEnum

from attrs import frozen


class Cause(StrEnum):
    """Why a model is slower than it was."""

    PAGE_CACHE = "page_cache"
    MEMORY_LATE = "memory_late"
    GPU_LOST = "gpu_lost"
    LEFTOVER = "leftover_runner"
    CONTEXT = "context"
    POWER_MODE = "power_mode"
    OVER_CURRENT = "over_current"
    HEAT = "heat"
    CLOCKS = "clocks"
    SWAP = "swap"
    GPU_SHARED = "gpu_shared"
    COMPANY = "company"
    ENGINE_CHANGED = "engine_changed"
    UNKNOWN = "unknown"


@frozen
class Remedy:
    """What to do about a cause.

    Attributes:
        text: In words.
        command: What to type; None when there is no one command. ORAC never runs it.
        reversible: Whether ORAC can try it by itself and take it back.
    """

    text: str
    command: str | None = None
    reversible: bool = False


DROP_CACHES = "sync; echo 3 | sudo tee /proc/sys/vm/drop_caches"

REMEDIES = {
    Cause.PAGE_CACHE: Remedy(
        "give the page cache back before the load, or ask for all layers on the GPU "
        "(`gpu_layers = 999`), or keep the model loaded; newer engines count the cache as free",
        DROP_CACHES,
        reversible=True,
    ),
    Cause.MEMORY_LATE: Remedy(
        "unload it, wait until its memory is back, and load it again with nothing else loading",
        reversible=True,
    ),
    Cause.GPU_LOST: Remedy(
        "restart the engine, or the container it runs in, and look whether it sees the GPU"
    ),
    Cause.LEFTOVER: Remedy(
        "end the leftover runner, or restart the engine; limit the length of answers, so that one "
        "whose client has gone comes to an end"
    ),
    Cause.CONTEXT: Remedy(
        "start a new conversation, or load it anew with a smaller and fixed `context_length`",
        reversible=True,
    ),
    Cause.POWER_MODE: Remedy(
        "set the former power mode again: `sudo nvpmodel -m` with its number",
        "sudo nvpmodel -q; grep 'POWER_MODEL ID' /etc/nvpmodel.conf",
    ),
    Cause.OVER_CURRENT: Remedy(
        "use a stronger power supply or a smaller power mode; a limit that has latched goes only "
        "when the board has been without power",
        "grep . /sys/class/hwmon/hwmon*/oc*_event_cnt",
    ),
    Cause.HEAT: Remedy("cool it: look whether the fan turns, and for dust and the power mode"),
    Cause.CLOCKS: Remedy(
        "hold the clocks at their highest, on a Jetson by `sudo jetson_clocks`, or look who lowers "
        "them"
    ),
    Cause.SWAP: Remedy(
        "unload other models, take a smaller model or context, do without the desktop, or have the "
        "swap on an NVMe disk"
    ),
    Cause.GPU_SHARED: Remedy("stop the other program, or start it after the model has been loaded"),
    Cause.COMPANY: Remedy("nothing is wrong: let one answer run at a time, or accept the rate"),
    Cause.ENGINE_CHANGED: Remedy(
        "go back to the former version of the engine, or take the speed of this one as the usual"
    ),
    Cause.UNKNOWN: Remedy(
        "load it again, then run the experiment: it shows which step changes the rate",
        reversible=True,
    ),
}


@frozen
class Finding:
    """A cause, and why it is suspected.

    Attributes:
        cause: What it is.
        likelihood: 0 to 1: how sure its sign is, and how much of the slowdown it can explain.
        evidence: Sentences with the numbers that speak for it.
        remedy: What to do, in words.
        command: What to type; None when there is no one command. ORAC never runs it.
        reversible: Whether ORAC can try the remedy by itself and take it back.
        factor: What this alone would leave of the rate; None where the sign does not tell.
    """

    cause: Cause
    likelihood: float
    evidence: tuple[str, ...]
    remedy: str
    command: str | None = None
    reversible: bool = False
    factor: float | None = None


def finding(
    cause: Cause,
    certainty: float,
    *evidence: str | None,
    factor: float | None = None,
    command: str | None = None,
) -> Finding:
    """Return a finding with the remedy of its cause; sentences that are None are left out.

    Args:
        cause: What it is.
        certainty: How sure the sign is, 0 to 1.
        evidence: What speaks for it.
        factor: What this alone would leave of the rate; None where the sign does not tell.
        command: What to type in place of the cause's usual command.
    """
    remedy = REMEDIES[cause]
    return Finding(
        cause=cause,
        likelihood=certainty,
        evidence=tuple(each for each in evidence if each is not None),
        remedy=remedy.text,
        command=command or remedy.command,
        reversible=remedy.reversible,
        factor=factor,
    )
