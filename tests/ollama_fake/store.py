"""Blobs and manifests on the disk, where a server that starts again finds them."""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path

from attrs import define, evolve, field

from .model import Model
from .names import Name
from .refusal import Refusal
from .when import stamp

_DIGEST = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")
_PADDING = bytes(64)


@define(eq=False)
class Store:
    """A folder as Ollama keeps it: ``blobs`` by digest, ``manifests`` by name.

    Attributes:
        largest_read: The most bytes of an upload that were in memory at once.
    """

    folder: Path
    uploads: int = 0
    bytes_uploaded: int = 0
    largest_read: int = 0
    _models: dict[str, tuple[Name, Model]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._blobs.mkdir(parents=True, exist_ok=True)
        for path in self._manifests.glob("*/*/*/*"):
            host, namespace, model, tag = path.relative_to(self._manifests).parts
            self._read(Name(host, namespace, model, tag), path)

    @property
    def _blobs(self) -> Path:
        return self.folder / "blobs"

    @property
    def _manifests(self) -> Path:
        return self.folder / "manifests"

    # Blobs

    def blob(self, digest: str) -> Path:
        """Return where the blob of a digest is or would be; Refusal when it is no digest."""
        found = _DIGEST.fullmatch(digest)
        if found is None:
            raise Refusal(400, "invalid digest format")
        return self._blobs / f"sha256-{found[1]}"

    async def receive(self, digest: str, chunks: AsyncIterator[bytes]) -> None:
        """Write an upload to the disk as it comes, and keep it if it is what it should be."""
        target = self.blob(digest)
        partial = self._blobs / f"upload-{secrets.token_hex(8)}"
        hashed = hashlib.sha256()
        try:
            with partial.open("xb") as file:
                async for chunk in chunks:
                    self._count(chunk)
                    hashed.update(chunk)
                    file.write(chunk)
            self._keep(partial, target, digest, f"sha256:{hashed.hexdigest()}")
        finally:
            partial.unlink(missing_ok=True)

    def _count(self, chunk: bytes) -> None:
        self.bytes_uploaded += len(chunk)
        self.largest_read = max(self.largest_read, len(chunk))

    def _keep(self, partial: Path, target: Path, expected: str, got: str) -> None:
        """Keep what came under the digest it has, also when that is not the one expected."""
        self.uploads += 1
        partial.replace(self.blob(got))
        if expected.replace("-", ":", 1) != got:
            raise Refusal(400, f'digest mismatch, expected "{expected}", got "{got}"')

    def rewritten(self, digest: str) -> str:
        """Return the digest of a file that differs from another in nothing that matters."""
        partial = self._blobs / f"rewriting-{secrets.token_hex(8)}"
        shutil.copyfile(self.blob(digest), partial)
        with partial.open("ab") as file:
            file.write(_PADDING)
        with partial.open("rb") as file:
            new = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        partial.replace(self.blob(new))
        return new

    def add_blob(self, content: bytes) -> tuple[str, bool]:
        """Write a small blob; return its digest, and whether it is new."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        new = not self.blob(digest).exists()
        self.blob(digest).write_bytes(content)
        return digest, new

    def blob_size(self, digest: str) -> int:
        return self.blob(digest).stat().st_size

    # Models

    def find(self, name: Name) -> tuple[Name, Model] | None:
        """Return a model and the name under which it is kept."""
        return self._models.get(name.key)

    def all(self) -> list[tuple[Name, Model]]:
        """Return the models, those that changed last first."""
        by_name = sorted(self._models.values(), key=lambda kept: kept[0].full)
        return sorted(by_name, key=lambda kept: kept[1].modified_at[:19], reverse=True)

    def put(self, name: Name, model: Model, at: datetime) -> Model:
        """Keep a model under a name, in place of what had it."""
        digest = model.digest or model.manifest_digest()
        kept = evolve(model, digest=digest, modified_at=stamp(at))
        known = self.find(name)
        name = known[0] if known else name
        self._models[name.key] = name, kept
        path = self._manifest(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = {"digest": digest, "modified_at": kept.modified_at}
        path.write_text(json.dumps({**json.loads(model.written()), **facts}), encoding="utf-8")
        return kept

    def remove(self, name: Name) -> None:
        """Forget a model, and its file unless another has it."""
        _, model = self._models.pop(name.key)
        self._manifest(name).unlink(missing_ok=True)
        if all(other.weights != model.weights for _, other in self._models.values()):
            self.blob(model.weights).unlink(missing_ok=True)

    def _manifest(self, name: Name) -> Path:
        return self._manifests / name.host / name.namespace / name.model / name.tag

    def _read(self, name: Name, path: Path) -> None:
        facts = json.loads(path.read_text(encoding="utf-8"))
        for listed in ("capabilities", "tensors"):
            facts[listed] = tuple(facts[listed])
        self._models[name.key] = name, Model(**facts)

    def leftovers(self) -> Iterator[str]:
        """Yield the files among the blobs that no upload should leave."""
        yield from (path.name for path in self._blobs.iterdir() if path.name[:7] != "sha256-")


def disk_full(path: Path) -> Refusal:
    """Return what a server answers when it cannot write a file."""
    return Refusal(500, f"write {path}: {os.strerror(errno.ENOSPC).lower()}")
