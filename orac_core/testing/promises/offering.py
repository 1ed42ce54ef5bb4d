"""How loaded models are handed out, for those who do."""

from ...errors import OracError
from ..broken import expect, need
from ..promise import Promise
from ..trial import Trial


async def _hands_out(trial: Trial) -> None:
    need("obtain" in trial.instance.offers, "it does not offer obtain")
    await trial.load()
    expect(await trial.instance.obtain(trial.model) is not None, "obtain handed out None")


async def _hands_out_what_is_loaded(trial: Trial) -> None:
    need("obtain" in trial.instance.offers, "it does not offer obtain")
    try:
        await trial.instance.obtain(trial.model)
    except OracError:
        return
    expect(None, "obtain handed out a model that is not loaded")


OFFERING = (
    Promise(
        "obtain",
        "a loaded model is handed out",
        "return the object from obtain",
        _hands_out,
    ),
    Promise(
        "obtain-loaded",
        "a model that is not loaded is not handed out",
        "raise BackendUnavailable in obtain when the model is not loaded",
        _hands_out_what_is_loaded,
    ),
)
"""The promises of ``obtain``."""
