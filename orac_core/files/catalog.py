"""The models on the disk, looked at anew for each question and remembered where nothing changed."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Self

from attrs import define, evolve, field, frozen

from ..errors import ModelFileInvalid
from ..state_directory import StateDirectory
from . import integrity
from .digests import Digests
from .folder import Contents, FileSet, find
from .hashing import HashProgress
from .header import GgufHeader
from .ledger import Ledger, key, key_of
from .malformed import printing
from .model_file import ModelFile
from .names import look_up, named
from .paths import Place
from .remembered import FileState, Headers

_UNPRINTABLE = "its name has characters that do not print; rename it"


@frozen
class LookedAt:
    """What a search found in one place.

    Attributes:
        place: The place.
        exists: Whether it is a folder that can be looked into.
        models: Number of models in it; a split one counts once.
        note: Why there are none, or not all.
        found: The model that was asked for, when it is here.
        shadowed: Files that have no id, as both their names were taken before them.
    """

    place: Place
    exists: bool
    models: int
    note: str | None
    found: ModelFile | None
    shadowed: tuple[Path, ...]


@frozen
class _Scan:
    contents: tuple[Contents, ...]
    models: dict[str, ModelFile]
    shadowed: tuple[FileSet, ...]


@define(eq=False)
class ModelFiles:
    """The models on a search path.

    Each question looks at the folders again, in a thread, so files that appear, change or vanish
    are noticed without a restart; headers and checksums of files that stayed the same are
    remembered. Questions that come at the same time share one look.

    Attributes:
        places: Where to look, in order.
        checksums: Model id, with the ending ``.gguf`` or without → what its files must hash to.
        adapters: Says which files somebody put there as adapters: they are no broken models.
        state: Keeps what they really hash to over a restart.
        digests: What they really hash to.
    """

    places: tuple[Place, ...]
    checksums: Mapping[str, str] = field(factory=dict)
    state: StateDirectory = field(factory=lambda: StateDirectory(None))
    adapters: Callable[[Path], bool] = lambda _: False
    digests: Digests = field(init=False)
    _headers: Headers = field(factory=Headers, init=False)
    _next_scan: asyncio.Task[_Scan] | None = field(default=None, init=False)
    _turn: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self.digests = Digests(Ledger(self.state))

    @classmethod
    def below(
        cls,
        folders: Iterable[Path],
        checksums: Mapping[str, str] = MappingProxyType({}),
        state: StateDirectory | None = None,
    ) -> Self:
        """Return the model files in *folders* and all below them, and nowhere else."""
        places = tuple(Place(Path.cwd() / each.expanduser(), "given") for each in folders)
        return cls(places, checksums, state or StateDirectory(None))

    async def all(self) -> tuple[ModelFile, ...]:
        """Return every model, the unusable ones with their problem, in the order of the places."""
        return tuple((await self._scanned()).models.values())

    async def find(self, name: str) -> ModelFile | None:
        """Return the model of that id, with the ending ``.gguf`` or without; None for none."""
        return look_up((await self._scanned()).models, name)

    async def validate(
        self,
        model: ModelFile,
        checksum: str | None = None,
        progress: HashProgress | None = None,
    ) -> None:
        """Return when the model's files are there, readable and whole.

        Args:
            model: What `find` or `all` returned.
            checksum: What the files must hash to, in one of the forms of `integrity.check`;
                None for the one in ``checksums``. The first time reads the whole model, and stops
                that soon after the last who waits for it was cancelled.
            progress: Follows the reading.

        Raises:
            ModelFileInvalid: They are not; the problem says what is wrong.
        """
        checksum = checksum or self.checksum(model)
        await asyncio.to_thread(self._require_whole, model, checksum)
        if checksum is not None:
            await self.require(model.parts, checksum, progress)

    async def require(
        self, parts: Sequence[Path], checksum: str, progress: HashProgress | None = None
    ) -> None:
        """Return when files put together, whatever is in them, hash to *checksum*.

        Raises:
            ModelFileInvalid: They do not, or can not be read; the problem says what is wrong.
        """
        algorithm, wanted = integrity.expected(parts[0], checksum)
        found = await self.digests.of(parts, algorithm, progress)
        if found != wanted:
            raise ModelFileInvalid(parts[0], integrity.mismatch(algorithm, wanted, found))

    async def problem(self, path: Path, checksum: str | None) -> str | None:
        """Return what is known to be wrong with a file, whatever is in it, without reading it."""
        try:
            return await asyncio.to_thread(self._known_against, path, checksum)
        except ModelFileInvalid as error:
            return error.problem

    async def digest(self, parts: Sequence[Path], progress: HashProgress | None = None) -> str:
        """Return the sha256 of files put together; raises as `Digests.of` does."""
        return await self.digests.of(parts, "sha256", progress)

    async def remembered(self, parts: Sequence[Path]) -> str | None:
        """Return the sha256 of files when it is known without reading them.

        Raises:
            ModelFileInvalid: A file is gone.
        """
        return await asyncio.to_thread(
            lambda: self.digests.ledger.known(key_of(parts, "sha256")),
        )

    async def admit(self, path: Path) -> None:
        """Return when a file, whatever its name, is a whole model that could be served.

        Raises:
            ModelFileInvalid: It is none; the problem says what is wrong.
        """
        await asyncio.to_thread(integrity.whole, (path,))

    async def learn(self, path: Path, algorithm: str, digest: str) -> None:
        """Remember what a file hashes to that was hashed while it came."""

        def learn() -> None:
            self.digests.ledger.verified(key_of([path], algorithm), digest, digest)

        await asyncio.to_thread(learn)

    def checksum(self, model: ModelFile) -> str | None:
        """Return what the model's files must hash to; None when nobody said."""
        return self.checksums.get(model.id) or self.checksums.get(f"{model.id}.gguf")

    async def looked_at(self, name: str) -> tuple[LookedAt, ...]:
        """Return what the search for a model found in each place, in order; for the doctor."""
        scan = await self._scanned()
        found = look_up(scan.models, name)
        return tuple(_looked_at(contents, scan, found) for contents in scan.contents)

    async def _scanned(self) -> _Scan:
        """Join the scan that has not begun yet; one that has might already miss a new file."""
        if self._next_scan is None or self._next_scan.done():  # done: cancelled with its loop
            self._next_scan = asyncio.create_task(self._in_turn())
        # The scan is for all who wait: it outlives the one who began it.
        return await asyncio.shield(self._next_scan)

    async def _in_turn(self) -> _Scan:
        async with self._turn:
            self._next_scan = None
            return await asyncio.to_thread(self._scan)

    def _scan(self) -> _Scan:
        self._headers.begin_scan()
        contents = tuple(find(place) for place in self.places)
        table, shadowed = named(file_set for found in contents for file_set in found.file_sets)
        found = (self._model(id_, file_set) for id_, file_set in table.items())
        models = {model.id: model for model in found if not self._is_adapter(model)}
        return _Scan(contents, models, shadowed)

    def _is_adapter(self, model: ModelFile) -> bool:
        known = model.header is not None and model.header.kind == "adapter"
        return known and self.adapters(model.path)

    def _model(self, id_: str, file_set: FileSet) -> ModelFile:
        header, problem = _judged(file_set, self._headers)
        found = list(_found(file_set.parts))
        model = ModelFile(
            id=id_,
            path=file_set.parts[0],
            parts=file_set.parts,
            size_bytes=sum(state.size_bytes for state in found),
            modified_at=max((state.modified_ns for state in found), default=0) / 1e9,
            header=header,
            problem=problem,
            place=file_set.place,
        )
        return self._with_digest(model, found) if problem is None else model

    def _with_digest(self, model: ModelFile, states: Sequence[FileState]) -> ModelFile:
        """Add what is known of the hash without reading the files."""
        ledger, name = self.digests.ledger, key(states, "sha256")
        return evolve(
            model,
            sha256=None if ledger.rotten(name) else ledger.known(name),
            problem=self._against(model.path, states, self.checksum(model)),
        )

    def _known_against(self, path: Path, checksum: str | None) -> str | None:
        return self._against(path, [FileState.of(path)], checksum)

    def _against(self, path: Path, states: Sequence[FileState], checksum: str | None) -> str | None:
        """Return what the hashes that are known tell against files; *path* is the first."""
        wanted = {}
        if checksum is not None:
            try:
                wanted = dict([integrity.expected(path, checksum)])
            except ModelFileInvalid as error:
                return error.problem
        algorithms = dict.fromkeys(("sha256", *wanted))
        return next(filter(None, map(partial(self._wrong, states, wanted), algorithms)), None)

    def _wrong(
        self, states: Sequence[FileState], wanted: Mapping[str, str], algorithm: str
    ) -> str | None:
        name = key(states, algorithm)
        known, found = self.digests.ledger.known(name), self.digests.ledger.rotten(name)
        if known and found:
            return integrity.rotten(algorithm, known, found)
        if known and known != wanted.get(algorithm, known):
            return integrity.mismatch(algorithm, wanted[algorithm], known)
        return None

    def _require_whole(self, model: ModelFile, checksum: str | None) -> None:
        if not model.path.name.isprintable():
            raise ModelFileInvalid(Path(printing(model.path.name)), _UNPRINTABLE)
        integrity.whole(model.parts)
        states = [FileState.of(part) for part in model.parts]
        if problem := self._against(model.path, states, checksum):
            raise ModelFileInvalid(model.path, problem)


def _judged(file_set: FileSet, headers: Headers) -> tuple[GgufHeader | None, str | None]:
    """Return the header of a model and what speaks against it."""
    first, *others = file_set.parts
    if not first.name.isprintable():
        return None, _UNPRINTABLE
    try:
        header = integrity.joined(file_set.parts, [headers.of(part) for part in file_set.parts])
    except ModelFileInvalid as error:
        return None, str(error) if error.path in others else error.problem
    return header, integrity.unservable(header)


def _found(parts: tuple[Path, ...]) -> Iterator[FileState]:
    for part in parts:
        with suppress(ModelFileInvalid):  # its problem says that it is gone
            yield FileState.of(part)


def _looked_at(contents: Contents, scan: _Scan, found: ModelFile | None) -> LookedAt:
    here = found if found and found.place == contents.place else None
    return LookedAt(
        place=contents.place,
        exists=contents.exists,
        models=len(contents.file_sets),
        note=contents.note,
        found=here,
        shadowed=tuple(it.parts[0] for it in scan.shadowed if it.place == contents.place),
    )
