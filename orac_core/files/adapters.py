"""The adapters that models are loaded with: found by their names, and examined before an engine.

What was found out is remembered as long as neither the adapter nor the model changes.
"""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from attrs import define, evolve, field, frozen

from ..errors import ModelFileInvalid
from ..types import Adapter, AdapterInfo
from . import integrity
from .adapter_file import AdapterFile, Shapes, misfit, read_adapter
from .adapter_registry import RegisteredAdapter, claims, registered
from .catalog import ModelFiles
from .gguf import read_contents
from .ledger import key_of
from .parts import PartName
from .remembered import FileState

_ENDING = ".gguf"


class Wish(Protocol):
    """An adapter as the manifest names it."""

    @property
    def path(self) -> str:
        """Its file, or its name."""

    @property
    def scale(self) -> float:
        """How strong it is."""

    @property
    def checksum(self) -> str | None:
        """What its file must hash to."""


@frozen
class BaseModel:
    """The model that adapters are put on; None where something is not known.

    Attributes:
        architecture: ``llama``, ``qwen3`` …
        path: Its file, or the first part of it.
        sha256: What its files hash to.
    """

    architecture: str | None = None
    path: Path | None = None
    sha256: str | None = None


@frozen
class _Examined:
    states: tuple[FileState, ...]
    outcome: AdapterFile | str


@define(eq=False)
class Adapters:
    """The adapters of this machine.

    Attributes:
        files: The models, whose places are looked through, and the hashes of files.
        folder: The registry: adapters beside their manifests; None for none.
    """

    files: ModelFiles
    folder: Path | None = None
    _examined: dict[tuple[Path, Path | None], _Examined] = field(factory=dict, init=False)

    async def registered(self) -> tuple[RegisteredAdapter, ...]:
        """Return what the registry holds, those that can not be used with their problem."""
        return await asyncio.to_thread(registered, self.folder)

    async def examined(self, wish: Wish, base: BaseModel) -> Adapter:
        """Return an adapter that can be put on a model; its file is read to the last byte once.

        Raises:
            ModelFileInvalid: It can not, naming the adapter.
        """
        found, wanted = await asyncio.to_thread(self._fitting, wish, base)
        path, digests = found.path, {"sha256": await self.files.digest([found.path])}
        if wanted is not None:
            algorithm, _ = integrity.expected(path, wanted)
            digests[algorithm] = await self.files.digests.of([path], algorithm)
        _require(path, wanted, digests)
        return Adapter(str(path), wish.scale, digests["sha256"], found.size_bytes)

    async def look(self, wish: Wish, base: BaseModel) -> AdapterInfo:
        """Say what is known of an adapter without reading more than headers; never raises."""
        return await asyncio.to_thread(self._look, wish, base)

    def _look(self, wish: Wish, base: BaseModel) -> AdapterInfo:
        told = AdapterInfo(Path(wish.path).name, wish.scale)
        try:
            found, wanted = self._fitting(wish, base)
            known = self.files.digests.ledger.known(key_of([found.path], "sha256"))
            told = evolve(told, name=found.path.name, sha256=known, size_bytes=found.size_bytes)
            _require(found.path, wanted, {"sha256": known} if known else {})
        except ModelFileInvalid as error:
            return evolve(told, problem=str(error))
        return told

    def _fitting(self, wish: Wish, base: BaseModel) -> tuple[AdapterFile, str | None]:
        """Return the file of an adapter that fits a model, and what it has to hash to."""
        entries = claims(self.folder) if self.folder else ()
        path = self._found(wish.path, base, entries)
        entry = next((it for it in entries if it.path == path), RegisteredAdapter(""))
        found = self._judged(path, base)
        problem = entry.problem or (
            found if isinstance(found, str) else _unlike(entry, found, base)
        )
        if problem or isinstance(found, str):
            raise ModelFileInvalid(path, problem or "")
        return found, wish.checksum or entry.checksum

    def _found(self, name: str, base: BaseModel, entries: tuple[RegisteredAdapter, ...]) -> Path:
        """Return the file that a name in the manifest means.

        Raises:
            ModelFileInvalid: There is none.
        """
        named = (it.path for it in entries if it.name == name and it.path)
        for path in (*named, *self._candidates(Path(name).expanduser(), base)):
            if path.is_file():
                return path
        raise ModelFileInvalid(Path(name), _mistaken(name, entries) or self._missing(name, base))

    def _candidates(self, name: Path, base: BaseModel) -> Iterator[Path]:
        folders = [Path("/")] if name.is_absolute() else self._folders(base)
        for folder in folders:
            yield folder / name
            if name.suffix.lower() != _ENDING:
                yield folder / f"{name}{_ENDING}"

    def _folders(self, base: BaseModel) -> list[Path]:
        beside = base.path.parent if base.path else None
        places = (place.path for place in self.files.places)
        return [it for it in (self.folder, beside, *places) if it is not None]

    def _missing(self, name: str, base: BaseModel) -> str:
        told = "the adapter is not there: looked"
        if Path(name).is_absolute():
            return f"{told} at that path, {name}; put it there, or correct `path`"
        folders = ", ".join(map(str, dict.fromkeys(self._folders(base))))
        if not folders:
            return f"{told} nowhere; say its whole path"
        return f"{told} in {folders}; put it there, or say its whole path"

    def _judged(self, path: Path, base: BaseModel) -> AdapterFile | str:
        """Return the adapter, or why it can not be put on the model."""
        parts = _parts(base.path) if base.path else ()
        states = tuple(map(FileState.of, (path, *parts)))
        known = self._examined.get((path, base.path))
        if known is None or known.states != states:
            known = _Examined(states, _judgement(path, base.architecture, parts))
            self._examined[path, base.path] = known
        return known.outcome


def _mistaken(name: str, entries: tuple[RegisteredAdapter, ...]) -> str | None:
    """Return what is wrong with the manifest that an adapter of that name probably has."""
    wanted = Path(name).name.removesuffix(_ENDING)
    for entry in entries:
        if entry.path is None and Path(entry.name).stem == wanted:
            return f"{entry.name} is there, and {entry.problem}; correct it"
    return None


def _judgement(path: Path, architecture: str | None, parts: tuple[Path, ...]) -> AdapterFile | str:
    try:
        found = read_adapter(path)
    except ModelFileInvalid as error:
        if isinstance(error.__cause__, OSError):
            raise  # what the system refuses now it may allow the next time
        return error.problem
    return misfit(found, architecture, _tensors(parts)) or found


def _unlike(entry: RegisteredAdapter, found: AdapterFile, base: BaseModel) -> str | None:
    """Return what the manifest of an adapter has against its file, or against the model."""
    if base.sha256 and entry.base_checksum not in (None, f"sha256:{base.sha256}"):
        return "by its manifest (base_checksum) it is made for another file; take that model"
    return misfit(found, entry.base_architecture, None)


def _require(path: Path, wanted: str | None, digests: Mapping[str, str]) -> None:
    """Raise `ModelFileInvalid` when a file hashes to something else than it should."""
    if wanted is None:
        return
    algorithm, digits = integrity.expected(path, wanted)
    if (found := digests.get(algorithm, digits)) != digits:
        raise ModelFileInvalid(path, integrity.mismatch(algorithm, digits, found))


def _tensors(parts: tuple[Path, ...]) -> Shapes | None:
    """Return the tensors of a model in those files; None where they can not be told."""
    if not parts:
        return None
    return {name: it for part in parts for name, it in read_contents(part).shapes.items()}


def _parts(path: Path) -> tuple[Path, ...]:
    name = PartName.of(path)
    if name is None:
        return (path,)
    return tuple(path.with_name(str(evolve(name, number=it + 1))) for it in range(name.count))
