"""The backend within a replica: opened from plain data, with its one model loaded."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Self

from attrs import define, evolve, field

from orac_core import (
    Adapter,
    BackendError,
    BackendUnavailable,
    Chunk,
    Embeddings,
    EmbedRequest,
    GenerateRequest,
    Host,
    Instance,
    LoadRequest,
    ModelFileInvalid,
    ModelFiles,
    ModelInfo,
    ModelNotFound,
    ModelState,
    OracError,
    Plugins,
    StateDirectory,
)

from .spec import Inside
from .wire import unpacked

_NAME = "replica"


@define(eq=False)
class Inner:
    """A backend of another kind with one model in memory.

    Attributes:
        inside: What was asked for.
        files: The model files of this node.
        instance: The backend.
    """

    inside: Inside
    files: ModelFiles
    instance: Instance
    _stack: AsyncExitStack = field(factory=AsyncExitStack, init=False)

    @classmethod
    async def open(cls, inside: Inside) -> Self:
        """Open the backend, and load its model once it is the one that is meant.

        Raises:
            ConfigurationError: when the kind is not installed here, or its settings are wrong.
            ModelNotFound: when this node has no such model.
            ModelFileInvalid: when its file, or that of an adapter, is not the one that is meant.
            BackendError: when it can not be loaded.
        """
        plugins = Plugins.discover()
        kind, settings = plugins.settled(inside.kind, inside.settings)
        files = _files(inside)
        async with AsyncExitStack() as stack:
            opening = plugins.open(_NAME, kind, settings, Host(files))
            inner = cls(inside, files, await stack.enter_async_context(opening))
            await inner.load()
            inner._stack = stack.pop_all()
        return inner

    async def load(self) -> None:
        """Load the model; raises as `open` does."""
        request = await agreed(self.inside, self.files)
        try:
            async with aclosing(self.instance.load(request)) as stages:
                async for _ in stages:
                    pass
        except ModelNotFound as error:
            raise self._absent(error.name) from error
        found = await self.info()
        if found.state is not ModelState.READY:
            raise BackendError(f"{found.id} was loaded and is {found.state}: {found.state_reason}")
        self._require_the_same(found)

    async def info(self) -> ModelInfo:
        """Return the model as its backend reports it.

        Raises:
            ModelNotFound: when it has none of that name.
        """
        name = self.inside.request.model
        for info in await self.instance.models():
            if name in (info.id, *info.names):
                return info
        raise self._absent(name)

    def _absent(self, name: str) -> ModelNotFound:
        searched = ", ".join(self.inside.paths)
        copy = f"copy it there into {searched}" if searched else "put it there"
        where = f"{self.inside.kind} on {os.uname().nodename} has none"
        return ModelNotFound(name, f"{where}; {copy}, or correct `model` or `paths`")

    async def require_ready(self) -> None:
        """Return when the model can answer.

        Raises:
            BackendUnavailable: when it can not any more.
        """
        found = await self.info()
        if found.state is not ModelState.READY:
            raise BackendUnavailable(f"{found.id} is {found.state}: {found.state_reason or ''}")

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Return the pieces of an answer."""
        return self.instance.generate(evolve(request, model=self.inside.request.model))

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """Return the vectors of texts."""
        return await self.instance.embed(evolve(request, model=self.inside.request.model))

    async def close(self) -> None:
        """Free everything."""
        await self._stack.aclose()

    def _require_the_same(self, found: ModelInfo) -> None:
        """Compare what tells the model from others, for backends that read no file of ORAC's."""
        wanted, has = self.inside.checksum, found.digest
        if wanted and has and wanted.removeprefix("sha256:") != has.removeprefix("sha256:"):
            raise BackendError(
                f"{found.id} on {os.uname().nodename} is another model ({has}) than {wanted}; "
                "give every node the same",
            )


def disagreement(inside: bytes) -> str | None:
    """Return why this node lacks the files of a model, or has others; None when it has them."""
    asked = unpacked(inside, Inside)
    try:
        asyncio.run(_agree(asked))
    except OracError as error:
        return str(error)
    return None


async def agreed(inside: Inside, files: ModelFiles) -> LoadRequest:
    """Return the load with the adapters of this node, which have to be those that are meant.

    Raises:
        ModelFileInvalid: when one is not there, or another file.
    """
    meant = inside.request.adapters
    if meant is None:
        return inside.request
    found = [await _adapter(each, inside, files) for each in meant]
    return evolve(inside.request, adapters=tuple(found))


async def _agree(inside: Inside) -> None:
    files = _files(inside)
    await agreed(inside, files)
    model = await files.find(inside.request.model)
    if model is not None and inside.checksum is not None:
        await files.validate(model)


async def _adapter(meant: Adapter, inside: Inside, files: ModelFiles) -> Adapter:
    path = next(filter(Path.exists, _places(meant, inside)), Path(meant.path))
    digest = await files.digest([path])
    if meant.sha256 not in (None, digest):
        raise ModelFileInvalid(
            path,
            f"is another file on {os.uname().nodename} (sha256 {digest[:12]}…) than where ORAC "
            f"runs ({str(meant.sha256)[:12]}…); copy it there",
        )
    return evolve(meant, path=str(path))


def _places(meant: Adapter, inside: Inside) -> list[Path]:
    name = Path(meant.path).name
    return [Path(meant.path), *(Path(folder).expanduser() / name for folder in inside.paths)]


def _files(inside: Inside) -> ModelFiles:
    checksums = {inside.request.model: inside.checksum} if inside.checksum else {}
    return ModelFiles.below(map(Path, inside.paths), checksums, StateDirectory.of(os.environ))
