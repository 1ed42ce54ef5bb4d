"""How models come onto the disk."""

from collections.abc import Sequence
from contextlib import aclosing
from itertools import pairwise

from ...errors import InvalidRequest, OracError
from ...types import PullProgress, PullRequest
from ..broken import expect, need
from ..promise import Promise
from ..trial import Trial


def _offered(trial: Trial) -> None:
    need("pull" in trial.instance.offers, "it does not offer pull")


def _request(trial: Trial) -> PullRequest:
    _offered(trial)
    need(trial.subject.pull, "nothing to pull is given; a test in Python does so")
    return trial.subject.pull or PullRequest("")


async def _there(trial: Trial, model: str) -> bool:
    listed = await trial.instance.models()
    return any(name == model for each in listed for name in (each.id, *each.names))


async def _fetches(trial: Trial) -> None:
    request = _request(trial)
    need(not await _there(trial, request.model), f"{request.model} is there already")
    await trial.pull(request)
    await trial.load(request.model)


async def _counts_forward(trial: Trial) -> None:
    told = await trial.pull(_request(trial))
    expect(told, "pull told no progress")
    for each in told:
        sound = each.completed >= 0 and (each.total is None or each.completed <= each.total)
        expect(sound, f"pull told {each.completed} of {each.total} bytes")
    for before, after in pairwise(told):
        _expect_no_step_back(before, after)


def _expect_no_step_back(before: PullProgress, after: PullProgress) -> None:
    fetched = before.fetched_bytes or 0, after.fetched_bytes
    expect(fetched[1] is None or fetched[1] >= fetched[0], f"fetched_bytes fell: {fetched}")
    if (before.message, before.total) == (after.message, after.total):
        done = before.completed, after.completed
        expect(done[1] >= done[0], f"{after.message!r}: completed fell: {done}")


async def _fetches_once(trial: Trial) -> None:
    request = _request(trial)
    await trial.pull(request)
    last = (await trial.pull(request))[-1:]
    for each in last:
        expect(each.action in ("present", None), f"a second pull has {each.action} it")
        expect(not each.fetched_bytes, f"a second pull fetched {each.fetched_bytes} bytes")


async def _begun(trial: Trial, request: PullRequest) -> Sequence[PullProgress]:
    read: list[PullProgress] = []
    async with aclosing(trial.instance.pull(request)) as steps:
        async for each in steps:
            read.append(each)
            break
        await trial.ends_soon(steps.aclose(), "a pull that was closed")
    return read


async def _goes_on_after_a_close(trial: Trial) -> None:
    request = _request(trial)
    await _begun(trial, request)
    if await _there(trial, request.model):
        await trial.load(request.model)
    await trial.pull(request)
    await trial.load(request.model)


async def _refuses_what_is_nowhere(trial: Trial) -> None:
    request = _request(trial)
    unknown = trial.subject.unknown_model
    try:
        await trial.pull(PullRequest(unknown))
    except OracError:
        expect(not trial.witness.foreign, f"raised: {'; '.join(trial.witness.foreign)}")
    else:
        expect(None, f"a pull of {unknown!r}, which is nowhere, ended without an error")
    await trial.pull(request)


async def _refuses_a_pull_it_can_not_do(trial: Trial) -> None:
    _offered(trial)
    request = PullRequest(trial.subject.unknown_model, source="gopher://nowhere.invalid/model")
    try:
        await trial.pull(request)
    except InvalidRequest:
        return
    except OracError as error:
        expect(None, f"pull raised {type(error).__name__}, not InvalidRequest: {error}")
    expect(None, "pull took a source of a kind that there is not")


FETCHING = (
    Promise(
        "pull",
        "when pull ends the model is there, and can be loaded",
        "end the generator only when models lists what was fetched",
        _fetches,
    ),
    Promise(
        "pull-progress",
        "pull tells how far it is, never more than there is, and never less than before",
        "keep 0 <= completed <= total, count forward, or leave total and fetched_bytes None",
        _counts_forward,
    ),
    Promise(
        "pull-again",
        "a model that is there is not fetched again",
        'look first; end with PullProgress(…, action="present")',
        _fetches_once,
    ),
    Promise(
        "pull-closed",
        "a pull that is closed early ends within 2 seconds, lists no half model, and can go on",
        "give the file its name only when it is whole, and take up what has come the next time",
        _goes_on_after_a_close,
    ),
    Promise(
        "pull-unknown",
        "a pull of what is nowhere is refused with one of ORAC's errors",
        "raise ModelNotFound(request.model), or InvalidRequest where no source is given",
        _refuses_what_is_nowhere,
    ),
    Promise(
        "pull-source",
        "a source that it can not fetch from is an InvalidRequest",
        "look at PullRequest.source before anything is fetched",
        _refuses_a_pull_it_can_not_do,
    ),
)
"""The promises of ``pull``, for those who offer it."""
