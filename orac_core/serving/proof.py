"""The proof that a model which was loaded can answer: one real token, or one real vector."""

import asyncio
from collections.abc import Collection
from contextlib import aclosing

from ..conversation import EmbedRequest, GenerateOptions, GenerateRequest, Message
from ..errors import BackendError
from ..plugins import Instance

CANARY = "Hi"
"""What a model is asked for the proof."""


def announced(capabilities: Collection[str]) -> str:
    """Return what a model that can do that is asked for, in words."""
    return "asking for one vector" if _only_embeds(capabilities) else "asking for one token"


async def demand(
    instance: Instance, model: str, capabilities: Collection[str], within_s: float
) -> None:
    """Return when the model has answered.

    Raises:
        BackendError: when it does not, or not in time.
    """
    asking = _one_vector if _only_embeds(capabilities) else _one_token
    try:
        async with asyncio.timeout(within_s):
            await asking(instance, model)
    except TimeoutError:
        raise BackendError(
            f"{model} was loaded, but gave no answer within {within_s:g} s",
            instance=instance.name,
            operation="load",
        ) from None


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
