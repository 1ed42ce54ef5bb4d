"""What holds in any order of calls."""

from ..broken import NotOffered
from ..promise import Promise
from ..trial import Trial


async def _stands_any_order(trial: Trial) -> None:
    try:
        from ..orders import stands_any_order  # noqa: PLC0415 - what needs ORAC alone does without
    except ImportError as error:
        raise NotOffered("it takes Hypothesis: pip install 'orac[testing]'") from error
    await stands_any_order(trial)


ORDERING = (
    Promise(
        "any-order",
        "whatever is done in whatever order, what models says holds, and the model answers at last",
        "take the steps that are told by hand, and look for what one of them leaves behind",
        _stands_any_order,
    ),
)
"""The promise about all others together, tried with orders that Hypothesis makes up."""
