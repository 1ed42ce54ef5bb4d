"""How a backend says no."""

from contextlib import suppress

from ...conversation import GenerateRequest
from ...errors import BackendUnavailable, InvalidRequest, ModelNotFound, OracError
from ...types import ModelState
from ..broken import expect, need
from ..promise import Promise
from ..trial import Trial


async def _does_not_load_in_silence(trial: Trial) -> None:
    need(not (await trial.info()).remote, "its models are in the memory of another machine")
    try:
        await trial.ask()
    except BackendUnavailable:
        seen = (await trial.info()).state
        expect(seen is not ModelState.READY, "generate loaded the model in silence")
        return
    except OracError as error:
        expect(None, f"generate raised {type(error).__name__}, not BackendUnavailable: {error}")
    expect(None, "a model that is not loaded answered")


async def _does_not_answer_for_others(trial: Trial) -> None:
    await trial.load()
    try:
        await trial.ask(trial.asking(model=trial.subject.unknown_model))
    except (ModelNotFound, BackendUnavailable):
        return
    except OracError as error:
        expect(None, f"generate raised {type(error).__name__}: {error}")
    expect(None, f"{trial.subject.unknown_model!r} answered")


def _odd(trial: Trial) -> tuple[GenerateRequest, ...]:
    return (
        trial.asking(messages=()),
        trial.asking(messages=(), prompt=""),
        trial.asking(format={"type": "no such type"}),
    )


async def _refuses_what_makes_no_sense(trial: Trial) -> None:
    await trial.load()
    for request in _odd(trial):
        try:
            await trial.ask(request)
        except InvalidRequest:
            continue
        except OracError as error:
            expect(None, f"{type(error).__name__} instead of InvalidRequest: {error}")
    await trial.ask()


async def _raises_errors_of_orac(trial: Trial) -> None:
    for provoked in (trial.ask, lambda: trial.load(trial.subject.unknown_model)):
        with suppress(OracError):
            await provoked()
    with suppress(OracError):
        await trial.ask(trial.asking(model=trial.subject.unknown_model))
    expect(not trial.witness.foreign, f"raised: {'; '.join(trial.witness.foreign)}")


async def _says_what_is_wrong(trial: Trial) -> None:
    try:
        await trial.load(trial.subject.unknown_model)
    except OracError as error:
        expect(str(error).strip(), f"{type(error).__name__} says nothing")


REFUSING = (
    Promise(
        "not-loaded",
        "a model that is not loaded answers with BackendUnavailable, and is not loaded in silence",
        "raise BackendUnavailable in generate when the model is not loaded",
        _does_not_load_in_silence,
    ),
    Promise(
        "generate-unknown",
        "nobody answers for a model that is not there",
        "raise ModelNotFound or BackendUnavailable in generate; never take another model",
        _does_not_answer_for_others,
    ),
    Promise(
        "nonsense",
        "what makes no sense is an InvalidRequest, or is answered; the next question is answered",
        "check what the engine would fail at and raise InvalidRequest",
        _refuses_what_makes_no_sense,
    ),
    Promise(
        "errors",
        "what it raises on purpose is one of ORAC's errors",
        "translate what the engine raises: `raise BackendError(…) from error`",
        _raises_errors_of_orac,
    ),
    Promise(
        "errors-speak",
        "an error says what is wrong",
        "give every error a sentence, and say what to do",
        _says_what_is_wrong,
    ),
)
"""The promises of how requests are refused."""
