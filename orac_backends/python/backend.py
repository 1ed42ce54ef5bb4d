"""The backend of kind ``python``: objects in ORAC's own process."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING

from attrs import define, evolve, field

from orac_core import (
    BackendError,
    BackendUnavailable,
    Chunk,
    Embeddings,
    EmbedRequest,
    GenerateRequest,
    HashProgress,
    Host,
    InstanceHealth,
    InvalidRequest,
    LoadProgress,
    LoadRequest,
    ModelFileInvalid,
    ModelInfo,
    ModelNotFound,
    Registration,
    Registry,
    hookimpl,
)

from .._work import followed
from .listing import listed
from .place import Place
from .settings import PythonSettings

if TYPE_CHECKING:  # what holds objects is loaded with the first of them: 8 ms of every start
    from .crew import Crew
    from .held import Held

_CLOSE_S = 5.0
_NOTHING = "nothing is to be served; write [backends.NAME.models.MODEL], or register an object"


@define(eq=False)
class PythonBackend:
    """Serves objects that functions of the user's make.

    Attributes:
        settings: From the manifest.
        host: Lends the checksums of files.
        registry: The objects that a program has registered.
    """

    settings: PythonSettings
    host: Host
    registry: Registry
    _held: "dict[str, Held]" = field(factory=dict, init=False)
    _left: "list[Crew]" = field(factory=list, init=False)
    _turns: defaultdict[str, asyncio.Lock] = field(
        factory=lambda: defaultdict(asyncio.Lock), init=False
    )

    @hookimpl
    async def models(self) -> list[ModelInfo]:
        """List every object, with what is wrong with its file."""
        return [await self._listed(each) for each in self._recipes().values()]

    @hookimpl
    async def load(self, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
        """Make an object: check its file, call its loader.

        Raises:
            ModelNotFound: when there is none of that name.
            ModelFileInvalid: when its file can not be used.
            InvalidRequest: when an option is given that means nothing here.
            BackendError: when its loader fails, or takes too long.
        """
        recipe = self._recipes().get(request.model)
        if recipe is None:
            raise ModelNotFound(request.model)
        _refuse_options(request, recipe.parallel)
        async with self._turns[recipe.name]:
            if self._is_ready(recipe.name):
                return
            await self._drop(recipe.name)
            place = await self._place(recipe)
            async with aclosing(self._validated(recipe, place)) as stages:
                async for progress in stages:
                    yield progress
            yield LoadProgress("start", message="calling its loader")
            await self._make(recipe, place)

    @hookimpl
    async def unload(self, model: str) -> None:
        """Drop an object once the calls of it that are running have returned.

        Raises:
            BackendError: when it fails to tidy up; it is gone all the same.
        """
        if model in self._held:
            from .made import give_back  # noqa: PLC0415 - see above

            try:
                await self._drop(model)
            finally:
                await asyncio.to_thread(give_back)

    @hookimpl
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Ask an object; raises as `Held.answer` does.

        Raises:
            BackendUnavailable: when it is not loaded.
        """
        async with aclosing(self._ready(request.model).answer(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    @hookimpl
    async def embed(self, request: EmbedRequest) -> Embeddings:
        """Ask an object for vectors; raises as `Held.embed` does.

        Raises:
            BackendUnavailable: when it is not loaded.
        """
        return await self._ready(request.model).embed(request)

    @hookimpl
    async def obtain(self, model: str) -> object:
        """Return an object itself.

        Raises:
            BackendUnavailable: when it is not loaded.
        """
        return self._ready(model).it

    @hookimpl
    async def health(self) -> InstanceHealth:
        """Say whether there is anything to serve, and which threads do not come back."""
        recipes = self._recipes()
        self._left = [crew for crew in self._left if crew.left_behind]
        details = {"models": len(recipes), "loaded": len(self._held)}
        message = "" if recipes else _NOTHING
        warnings = tuple(_stuck(crew) for crew in self._left)
        return InstanceHealth(bool(recipes), message, python_version(), details, warnings)

    async def close(self) -> None:
        """Drop every object, as far as that does not take long."""
        for name in tuple(self._held):
            with suppress(BackendError, TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await self._drop(name)

    def _recipes(self) -> Mapping[str, Registration]:
        mine = {name: each.registration(name) for name, each in self.settings.models.items()}
        found = mine | {each.name: each for each in self.registry}
        return {name: self._with_checksum(each) for name, each in found.items()}

    def _with_checksum(self, recipe: Registration) -> Registration:
        """Return *recipe* with the checksum that ``[models.files]`` has for it."""
        checksum = self.host.files.checksums.get(recipe.name)
        if checksum is None or recipe.checksum is not None or recipe.path is None:
            return recipe
        return evolve(recipe, checksum=checksum)

    def _ready(self, model: str) -> "Held":
        if not self._is_ready(model):
            raise BackendUnavailable(f"{model} is not loaded; load it first")
        return self._held[model]

    def _is_ready(self, model: str) -> bool:
        return model in self._held and not self._held[model].leaving

    async def _listed(self, recipe: Registration) -> ModelInfo:
        place = await self._place(recipe) if recipe.path else None
        sha256 = await self._known(recipe.path) if place and not place.is_folder else None
        return listed(recipe, place, sha256, self._held.get(recipe.name))

    async def _place(self, recipe: Registration) -> Place:
        """Look at the file of an object, and at what is known of its checksum."""
        if recipe.path is None:
            return Place()
        place = await asyncio.to_thread(Place.at, recipe.path)
        if place.problem is not None or recipe.checksum is None:
            return place
        if place.is_folder:
            return place.failing("is a folder, which has no checksum; name a file in it")
        return place.failing(await self.host.files.problem(recipe.path, recipe.checksum))

    async def _known(self, path: Path | None) -> str | None:
        try:
            return await self.host.files.remembered([path]) if path else None
        except ModelFileInvalid:
            return None

    async def _validated(
        self, recipe: Registration, place: Place
    ) -> AsyncGenerator[LoadProgress, None]:
        if recipe.path is None:
            return
        if place.problem is not None:
            raise ModelFileInvalid(recipe.path, place.problem)
        if recipe.checksum is None:
            return
        reading, size = HashProgress(), place.size_bytes
        stages = followed(
            self.host.files.require([recipe.path], recipe.checksum, reading),
            lambda: LoadProgress("validate", reading.completed, size, "checking the file"),
        )
        async with aclosing(stages):
            async for progress in stages:
                yield progress

    async def _make(self, recipe: Registration, place: Place) -> None:
        from .crew import Crew  # noqa: PLC0415 - see above
        from .made import Making  # noqa: PLC0415 - see above

        crew = Crew(recipe.name, recipe.parallel)
        try:
            self._held[recipe.name] = await Making(recipe, crew).made(place)
        finally:
            if crew.left_behind:
                self._left.append(crew)

    async def _drop(self, model: str) -> None:
        held = self._held.get(model)
        if held is None:
            return
        held.leaving = True
        await held.crew.quiet()
        if self._held.get(model) is not held:
            return
        del self._held[model]
        try:
            await held.close()
        finally:
            if held.crew.left_behind:
                self._left.append(held.crew)


@asynccontextmanager
async def open_backend(settings: PythonSettings, host: Host) -> AsyncIterator[PythonBackend]:
    """Open a backend; leaving drops its objects."""
    with host.registry.claimed(settings.models) as registry:
        backend = PythonBackend(settings, host, registry)
        try:
            yield backend
        finally:
            await backend.close()


def _refuse_options(request: LoadRequest, parallel: int) -> None:
    """Refuse what no loader is told, but not to do what it does anyway, as a benchmark asks."""
    other = None if request.parallel == parallel else request.parallel
    given = (request.context_length, request.gpu_layers, other)
    if any(each is not None for each in given):
        raise InvalidRequest(
            f"{request.model} is an object of Python's, which takes no context_length, gpu_layers "
            "or parallel; say such things in its `kwargs`"
        )


def _stuck(crew: "Crew") -> str:
    return (
        f"{crew.left_behind} call of {crew.name} that nobody waits for does not return, and keeps "
        "its thread and memory; restarting ORAC ends it"
    )
