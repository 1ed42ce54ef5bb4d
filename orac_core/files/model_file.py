"""One model on the disk."""

from pathlib import Path

from attrs import frozen

from .header import GgufHeader
from .paths import Place


@frozen(kw_only=True)
class ModelFile:
    """A model found on the search path, in one file or several.

    Attributes:
        id: What it is called: the file's stem; for a second one of that stem its path below the
            place, with the ending.
        path: The file to give to an engine: the first part of a split model.
        parts: All files of the model that are there, in order.
        size_bytes: Of all parts.
        modified_at: When the newest part was last written, in seconds since 1970.
        header: What its header says, summed up over the parts; None when that cannot be read.
        problem: Why it cannot be used, in one sentence; None when nothing speaks against it.
        sha256: Its hash, when it was read before and has not changed since.
        place: Where on the search path it was found.
    """

    id: str
    path: Path
    parts: tuple[Path, ...]
    size_bytes: int
    modified_at: float
    header: GgufHeader | None
    problem: str | None
    place: Place
    sha256: str | None = None
