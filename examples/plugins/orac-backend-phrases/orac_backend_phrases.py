"""A backend that answers with fixed phrases: it needs no memory, no file and no engine.

As the last model of a role it says something where nothing else can.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

from attrs import define, field, frozen

from orac_core import (
    BackendKind,
    BackendUnavailable,
    Chunk,
    FinishReason,
    GenerateRequest,
    Host,
    InstanceHealth,
    InvalidRequest,
    LoadProgress,
    LoadRequest,
    ModelInfo,
    ModelNotFound,
    ModelState,
    Usage,
    hookimpl,
)

orac_hooks = "1.0"


@frozen
class PhrasesSettings:
    """The keys of its table in the manifest: what to answer to which word, and to all else."""

    answers: Mapping[str, str] = field(factory=dict)
    otherwise: str = "I can not answer that now."


@define(eq=False)
class PhrasesBackend:
    """One model, ``phrases``, which looks for words in the last message."""

    settings: PhrasesSettings
    loaded: bool = False

    @hookimpl
    async def models(self) -> list[ModelInfo]:
        """List the one model."""
        state = ModelState.READY if self.loaded else ModelState.STOPPED
        return [ModelInfo("phrases", state, capabilities=("completion", "chat"))]

    @hookimpl
    async def load(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        """Take it for loaded."""
        if request.model != "phrases":
            raise ModelNotFound(request.model)
        yield LoadProgress("start")
        self.loaded = True

    @hookimpl
    async def unload(self, model: str) -> None:
        """Take it for unloaded."""
        self.loaded = self.loaded and model != "phrases"

    @hookimpl
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Say the phrase word by word; a word is a token."""
        if request.model != "phrases" or not self.loaded:
            raise BackendUnavailable(f"{request.model} is not loaded; load it first")
        asked = question(request)
        words = self.answer(asked, request.options.stop)
        said = words[: request.options.max_tokens]
        for place, word in enumerate(said):
            yield Chunk(f" {word}" if place else word)
        reason: FinishReason = "stop" if said == words else "length"
        usage = Usage(len(asked.split()), len(said))
        yield Chunk(done=True, finish_reason=reason, usage=usage)

    @hookimpl
    async def health(self) -> InstanceHealth:
        """Say that it works, as there is nothing to break."""
        return InstanceHealth(usable=True, version="1")

    def answer(self, asked: str, ends: tuple[str, ...]) -> list[str]:
        """Return the words of the phrase for what was asked, up to the first of *ends*."""
        answers = self.settings.answers.items()
        fitting = (text for word, text in answers if word.lower() in asked.lower())
        text = next(fitting, self.settings.otherwise)
        for end in ends:
            text = text.split(end)[0]
        return text.split(" ") if text else []


def question(request: GenerateRequest) -> str:
    """Return what is asked, or refuse what can not be answered."""
    if request.format or request.toolbox:
        raise InvalidRequest("phrases knows no format and no tools; leave them out")
    if request.prompt is not None:
        return request.prompt
    if not request.messages:
        raise InvalidRequest("nothing was asked; send messages or a prompt")
    return request.messages[-1].content


@asynccontextmanager
async def open_phrases(settings: PhrasesSettings, _host: Host) -> AsyncIterator[PhrasesBackend]:
    """Open a backend; there is nothing to free."""
    yield PhrasesBackend(settings)


@hookimpl
def backend_kinds() -> list[BackendKind]:
    """Offer the kind."""
    return [BackendKind("phrases", PhrasesSettings, open_phrases)]
