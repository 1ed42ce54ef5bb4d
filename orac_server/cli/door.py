"""Where a command's work is done: by the server when it answers, else in this process."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Protocol

from attrs import asdict, define

import orac_core
from orac_core import Answer, LoadRequest, ModelManager

from .. import examinations, plans, provisions, schema, wire
from .client import Json, NoServer, reach
from .local import Benches, LocalBenches
from .options import shown
from .output import note
from .question import Question
from .setup import Setup


class Door(Benches, Protocol):
    """What a server and this process can do alike."""

    async def models(self) -> list[Json]:
        """Return the models as ``GET /v1/models`` lists them."""

    async def silent(self) -> dict[str, str]:
        """Return why each backend that can not be used can not, where that is not said already."""

    async def plan(self, model: str, setup: Setup) -> Json:
        """Return whether a model would fit into memory, as ``POST /v1/plan`` does."""

    def prompt(self, question: Question) -> AsyncGenerator[tuple[str, Json], None]:
        """Answer: ``chunk`` events, then ``done`` with the whole answer."""

    def provision(self, body: Json) -> AsyncGenerator[tuple[str, Json], None]:
        """Make models be there: ``progress`` events, then ``done`` with what was done for each."""

    def examined(self, body: Json) -> AsyncGenerator[tuple[str, Json], None]:
        """Find out why a model is slow: ``progress`` events, then ``done`` with what was found."""


@define(eq=False)
class InProcess(LocalBenches):
    """This process, with backends of its own."""

    async def models(self) -> list[Json]:
        """Return the models as ``GET /v1/models`` lists them."""
        return [wire.model(each) for each in await self.manager.models()]

    async def silent(self) -> dict[str, str]:
        """Return why each backend that was opened and can not be used can not."""
        told, named = (await self.manager.health()).instances, self.manager.backends.failed
        mute = {name: each for name, each in told.items() if not each.usable and name not in named}
        return {name: each.message for name, each in mute.items()}

    async def plan(self, model: str, setup: Setup) -> Json:
        """Return whether a model would fit into memory, as ``POST /v1/plan`` does."""
        return plans.told(await self.manager.plan(LoadRequest(model, **asdict(setup))))

    async def prompt(self, question: Question) -> AsyncGenerator[tuple[str, Json], None]:
        """Answer: ``chunk`` events, then ``done`` with the whole answer."""
        async with aclosing(self.manager.generate(question.request)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Answer):
                    yield "done", wire.answer(piece)
                else:
                    yield "chunk", {"text": piece.text}

    async def provision(self, body: Json) -> AsyncGenerator[tuple[str, Json], None]:
        """Make models be there: ``progress`` events, then ``done`` with what was done for each."""
        asked = schema.structure(body, provisions.ProvisionBody)
        async with aclosing(provisions.events(self.manager, asked)) as events:
            async for event in events:
                yield event

    async def examined(self, body: Json) -> AsyncGenerator[tuple[str, Json], None]:
        """Find out why a model is slow, which is loaded for that: ``progress``, then ``done``."""
        asked = schema.structure(body, examinations.DegradationBody)
        await self.manager.load(LoadRequest(asked.model))
        async with self.manager.sampler, aclosing(_told(self.manager, asked)) as events:
            async for event in events:
                yield event


@asynccontextmanager
async def open_door(url: str) -> AsyncIterator[Door]:
    """Open the server at *url* or, when none answers, this process; say on stderr which."""
    async with AsyncExitStack() as stack:
        try:
            server = await stack.enter_async_context(reach(url))
        except NoServer as absent:
            note(f"{absent}; working in this process")
            manager = await stack.enter_async_context(orac_core.open(load_at_start=False))
            for each in missing(manager):
                note(each)
            here = InProcess(manager)
            stack.push_async_callback(here.close)
            yield here
        else:
            note(f"using the server at {shown(url)}")
            yield server


async def _told(
    manager: ModelManager, asked: examinations.DegradationBody
) -> AsyncGenerator[tuple[str, Json], None]:
    async with aclosing(examinations.events(manager, asked)) as events:
        async for name, data in events:
            yield name, dict(data)


def missing(manager: ModelManager) -> list[str]:
    """Return a sentence for each backend and plugin that is not there for the work."""
    failed = [
        f"the backend {name} is not served: {reason}"
        for name, reason in manager.backends.failed.items()
    ]
    broken = manager.plugins.broken.items()
    return [*failed, *(f"the plugin {name} is broken: {reason}" for name, reason in broken)]
