"""The proof that a model which was loaded can answer: one real token, or one real vector.

Of an object that can do neither, it is the object.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import aclosing

from ..conversation import EmbedRequest, GenerateOptions, GenerateRequest, Message
from ..errors import BackendError
from ..plugins import Instance
from ..types import LoadProgress, ModelInfo
from .flight import Report

CANARY = "Hi"
"""What a model is asked for the proof."""


Question = Callable[[Instance, str], Awaitable[None]]

OBJECT = "object"
"""What a model can do that can do nothing else: be handed out."""


async def able(instance: Instance, info: ModelInfo) -> tuple[str, ...]:
    """Return what a loaded model can do, of which *info* was said before it was loaded."""
    if "obtain" not in instance.offers:
        return info.capabilities
    found = next((each for each in await instance.models() if each.id == info.id), info)
    return found.capabilities or (OBJECT,)


async def demand(
    instance: Instance,
    model: str,
    capabilities: Collection[str],
    within_s: float,
    report: Report,
) -> None:
    """Return when the model has answered; what it is asked for is told to *report* before.

    Raises:
        BackendError: when it does not, or not in time.
    """
    asking, what = _asked(capabilities)
    report(LoadProgress("verify", message=f"asking for {what}"))
    try:
        async with asyncio.timeout(within_s):
            await asking(instance, model)
    except TimeoutError:
        raise BackendError(
            f"{model} was loaded, but gave no answer within {within_s:g} s",
            instance=instance.name,
            operation="load",
        ) from None


def _asked(capabilities: Collection[str]) -> tuple[Question, str]:
    """Return how to ask a model that can do that, and for what, in words."""
    if OBJECT in capabilities:
        return _the_object, "the object"
    if _only_embeds(capabilities):
        return _one_vector, "one vector"
    return _one_token, "one token"


async def _the_object(instance: Instance, model: str) -> None:
    await instance.obtain(model)


async def _one_token(instance: Instance, model: str) -> None:
    request = GenerateRequest(
        model,
        messages=(Message("user", CANARY),),
        options=GenerateOptions(max_tokens=1, temperature=0.0),
    )
    async with aclosing(instance.generate(request)) as stream:
        async for _ in stream:
            pass


async def _one_vector(instance: Instance, model: str) -> None:
    found = await instance.embed(EmbedRequest(model, (CANARY,)))
    if not found.vectors[0]:
        raise BackendError(
            f"{model} was loaded, but its vectors are empty",
            instance=instance.name,
            operation="load",
        )


def _only_embeds(capabilities: Collection[str]) -> bool:
    return "embedding" in capabilities and not {"completion", "chat"} & {*capabilities}
