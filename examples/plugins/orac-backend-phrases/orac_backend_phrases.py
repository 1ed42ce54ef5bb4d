"""A backend that answers with fixed phrases: it needs no memory, no file and no engine."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

from attrs import define, field, frozen

import orac_core as orac

orac_hooks = "1.0"


@frozen
class PhrasesSettings:
    """The keys of its table in the manifest: what to answer to which word, and to all else."""

    answers: Mapping[str, str] = field(factory=dict)
    otherwise: str = "I can not answer that now."

    def to(self, asked: str) -> str:
        """Return the answer to the first word that was said."""
        fitting = (text for word, text in self.answers.items() if word.lower() in asked.lower())
        return next(fitting, self.otherwise)


@define(eq=False)
class PhrasesBackend:
    """One model, ``phrases``, which looks for words in the last message."""

    settings: PhrasesSettings
    loaded: bool = False

    @orac.hookimpl
    async def models(self) -> list[orac.ModelInfo]:
        """List the one model."""
        state = orac.ModelState.READY if self.loaded else orac.ModelState.STOPPED
        return [orac.ModelInfo("phrases", state, capabilities=("completion", "chat"))]

    @orac.hookimpl
    async def load(self, request: orac.LoadRequest) -> AsyncGenerator[orac.LoadProgress, None]:
        """Take it for loaded."""
        if request.model != "phrases":
            raise orac.ModelNotFound(request.model)
        yield orac.LoadProgress("start")
        self.loaded = True

    @orac.hookimpl
    async def unload(self, model: str) -> None:
        """Take it for unloaded."""
        self.loaded = self.loaded and model != "phrases"

    @orac.hookimpl
    async def generate(self, request: orac.GenerateRequest) -> AsyncGenerator[orac.Chunk, None]:
        """Say the phrase word by word; a word is a token."""
        if request.model != "phrases" or not self.loaded:
            raise orac.BackendUnavailable(f"{request.model} is not loaded; load it first")
        asked = request.prompt or "".join(each.content for each in request.messages[-1:])
        if request.format or request.toolbox or not asked:
            raise orac.InvalidRequest("nothing was asked, or for a format or tools: it has none")
        text = self.settings.to(asked)
        for end in request.options.stop:
            text = text.partition(end)[0]
        words = text.split(" ") if text else []
        said = words[: request.options.max_tokens]
        for place, word in enumerate(said):
            yield orac.Chunk(f" {word}" if place else word)
        used = orac.Usage(len(asked.split()), len(said))
        yield orac.Chunk(done=True, finish_reason="stop" if said == words else "length", usage=used)

    @orac.hookimpl
    async def health(self) -> orac.InstanceHealth:
        """Say that it works, as there is nothing to break."""
        return orac.InstanceHealth(usable=True)


@asynccontextmanager
async def opened(settings: PhrasesSettings, _: orac.Host) -> AsyncIterator[PhrasesBackend]:
    """Open a backend; there is nothing to free."""
    yield PhrasesBackend(settings)


@orac.hookimpl
def backend_kinds() -> list[orac.BackendKind]:
    """Offer the kind."""
    return [orac.BackendKind("phrases", PhrasesSettings, opened)]
