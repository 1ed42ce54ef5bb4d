"""Which models are in memory, as Ollama says, and how each was loaded."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from attrs import define, field, frozen

from orac_core import Adapter, BackendUnavailable, ModelFile, OracError

from .api import OllamaApi
from .listing import Inventory, words
from .naming import is_dressed, name_of
from .question import Loading
from .replies import Installed, Running, Shown

logger = logging.getLogger("orac.ollama")

_SHOWS_AT_ONCE = 4


@frozen
class Served:
    """A model that is in memory.

    Attributes:
        loading: What Ollama is told with each request, so that it stays loaded as it is.
        digest: Of its manifest.
        capabilities: What it can do.
        ours: Whether this backend loaded it.
    """

    loading: Loading
    digest: str
    capabilities: tuple[str, ...] = ()
    ours: bool = False


@define(eq=False)
class Roster:
    """What one server has in memory; each look at the server corrects it.

    Attributes:
        api: The server.
    """

    api: OllamaApi
    _served: dict[str, Served] = field(factory=dict, init=False)
    _shown: dict[str, Shown] = field(factory=dict, init=False)
    _changes: int = field(default=0, init=False)

    @property
    def loadings(self) -> dict[str, Loading]:
        """How each model was loaded, by its id."""
        return {id_: served.loading for id_, served in self._served.items()}

    @property
    def ours(self) -> tuple[str, ...]:
        """The names, in Ollama, of the models that this backend loaded."""
        return tuple(each.loading.name for each in self._served.values() if each.ours)

    def blobs(self, digest: str) -> frozenset[str]:
        """Return the names of the files that a model is made of; none where they are not known."""
        shown = self._shown.get(digest)
        return shown.blobs if shown else frozenset()

    def served(self, id_: str) -> Served:
        """Return the model of that id.

        Raises:
            BackendUnavailable: when it is not in memory.
        """
        if id_ not in self._served:
            raise BackendUnavailable(f"{id_} is not loaded; load it first")
        return self._served[id_]

    def loaded(self, id_: str, served: Served) -> None:
        """Take note of a load."""
        self._changes += 1
        self._served[id_] = served

    def gone(self, digest: str) -> None:
        """Take note that the model of that digest, under all its names, is no longer loaded."""
        self._changes += 1
        for id_ in [id_ for id_, each in self._served.items() if each.digest == digest]:
            del self._served[id_]

    def clear(self) -> None:
        """Take note that nothing is loaded any more."""
        self._changes += 1
        self._served.clear()

    async def look(self, files: Sequence[ModelFile]) -> Inventory:
        """Ask the server what it has, and learn from it."""
        as_of = self._changes
        installed = await self.api.installed()
        running = await self.api.running()
        await self._show(installed)
        found = Inventory(installed, running, files, dict(self._shown))
        if as_of == self._changes:  # else the answer is older than what is known
            self._compare(found)
        return found

    def _compare(self, found: Inventory) -> None:
        running = {each.digest: each for each in found.running}
        for id_, served in tuple(self._served.items()):
            if served.digest not in running:
                self._lost(id_, served)
        for id_, model in _names(found):
            if model.digest in running and id_ not in self._served:
                self._served[id_] = _adopted(found, model, running[model.digest])

    def _lost(self, id_: str, served: Served) -> None:
        del self._served[id_]
        if served.ours and served.loading.for_ever:
            logger.warning(
                "%s no longer has %s in memory: it was restarted, or somebody unloaded it",
                self.api.client.server,
                id_,
            )

    async def _show(self, installed: Sequence[Installed]) -> None:
        """Ask for what the list leaves out; once for each model."""
        self._shown = {
            each.digest: self._shown[each.digest]
            for each in installed
            if each.digest in self._shown
        }
        missing = {each.digest: each.name for each in installed if each.digest not in self._shown}
        turns = asyncio.Semaphore(_SHOWS_AT_ONCE)

        async def ask(digest: str, name: str) -> None:
            async with turns:
                with suppress(BackendUnavailable):  # it was removed meanwhile
                    self._shown[digest] = await self._facts(name)

        await asyncio.gather(*(ask(digest, name) for digest, name in missing.items()))

    async def _facts(self, name: str) -> Shown:
        try:
            return await self.api.show(name)
        except BackendUnavailable:
            raise
        except OracError as error:
            logger.warning("nothing more is known of %s: %s", name, error)
            return Shown((), None)


def _names(found: Inventory) -> list[tuple[str, Installed]]:
    """Return every id with the model in Ollama that it means."""
    by_name = {each.name.lower(): each for each in found.installed}
    files = [(file.id, by_name.get(name_of(file).lower())) for file in found.files]
    given = {each.name for _, each in files if each}
    others = (each for each in found.installed if each.name not in given)
    own = [(each.name, each) for each in others if not is_dressed(each.name)]
    known = own + [(id_, each) for id_, each in files if each]
    return [(id_, found.in_memory(each)) for id_, each in known]


def _adopted(found: Inventory, model: Installed, runner: Running) -> Served:
    """Return a model that somebody else loaded, to be left as it is."""
    worn = (Adapter(model.name),) if is_dressed(model.name) else ()
    loading = Loading(model.name, runner.context_length, adapters=worn)
    return Served(loading, model.digest, words(found.capabilities(model)))
