"""Whether a model's files are there, readable and whole, and whether they are the right ones."""

import re
from collections.abc import Sequence
from pathlib import Path

from attrs import evolve

from ..errors import ModelFileInvalid
from .gguf import read_header
from .hashing import Hashing
from .header import GgufHeader
from .malformed import quoted
from .parts import PartName, first_missing

_DIGITS = {"sha256": 64, "sha1": 40, "md5": 32}
_SHOWN_DIGITS = 8

_NOT_SERVABLE = {
    "clip": "a vision projector for another model; it cannot answer by itself",
    "mmproj": "a vision projector for another model; it cannot answer by itself",
    "adapter": "a LoRA adapter for another model; it cannot answer by itself",
    "imatrix": "an importance matrix for quantizing; it is no model",
}


def check(parts: Sequence[Path], checksum: str | None = None) -> GgufHeader:
    """Return the header of a model whose files are there, readable and whole.

    It blocks, with a checksum for as long as reading the whole model takes: call it in a thread.

    Args:
        parts: The model's files in order; of a split model those that were found.
        checksum: What the files must hash to, as ``sha256:<hex>``, ``sha1:<hex>`` or
            ``md5:<hex>``; that of a split model is that of its parts put together.

    Raises:
        ModelFileInvalid: They are not; the problem says what is wrong.
    """
    header = whole(parts)
    if checksum is not None:
        algorithm, wanted = expected(parts[0], checksum)
        found = Hashing(tuple(parts), algorithm).run()
        if found is not None and found != wanted:
            raise ModelFileInvalid(parts[0], mismatch(algorithm, wanted, found))
    return header


def whole(parts: Sequence[Path]) -> GgufHeader:
    """Return the header of a model whose files have the sizes that their headers tell.

    Raises:
        ModelFileInvalid: They are not; the problem says what is wrong.
    """
    header = joined(parts, [read_header(part) for part in parts])
    problem = unservable(header)
    if problem:
        raise ModelFileInvalid(parts[0], problem)
    return header


def unservable(header: GgufHeader) -> str | None:
    """Return why a whole file still is nothing that answers; None when it may."""
    if header.tensor_count == 0:
        return "it has no tensors"
    return _NOT_SERVABLE.get(header.architecture or "") or _NOT_SERVABLE.get(header.kind or "")


def joined(parts: Sequence[Path], headers: Sequence[GgufHeader]) -> GgufHeader:
    """Return the header of the whole model: the first part's, with the amounts of all.

    Raises:
        ModelFileInvalid: A part is missing or of another model.
    """
    _require_parts(parts)
    for part, header in zip(parts, headers, strict=True):
        _require_place(part, header)
    return _sum(headers)


def expected(path: Path, checksum: str) -> tuple[str, str]:
    """Return the algorithm and the hexadecimal digits of a checksum.

    Raises:
        ModelFileInvalid: It is none that is known.
    """
    algorithm, _, digits = checksum.partition(":")
    length = _DIGITS.get(algorithm)
    if length is None or not re.fullmatch(f"[0-9a-fA-F]{{{length}}}", digits):
        raise ModelFileInvalid(
            path,
            f"the checksum {quoted(checksum)} it should have is none;"
            " expected sha256:, sha1: or md5: and hexadecimal digits",
        )
    return algorithm, digits.lower()


def mismatch(algorithm: str, wanted: str, found: str) -> str:
    """Return what to say of files that are not those they should be."""
    return (
        f"{_differing(algorithm, wanted, found)}; download the file again or correct the manifest"
    )


def rotten(algorithm: str, wanted: str, found: str) -> str:
    """Return what to say of files that changed though nobody has written them."""
    return (
        f"{_differing(algorithm, wanted, found)}, and nobody has written it meanwhile: the storage"
        " may be failing; download the file again, to another disk"
    )


def _differing(algorithm: str, wanted: str, found: str) -> str:
    return (
        f"checksum {algorithm}: expected {wanted[:_SHOWN_DIGITS]}…, found {found[:_SHOWN_DIGITS]}…"
    )


def _require_parts(parts: Sequence[Path]) -> None:
    name = PartName.of(parts[0])
    if name and name.count > 1 and name.ending != ".gguf":
        raise ModelFileInvalid(
            parts[0], "engines find the parts of a split model only with the ending .gguf; rename"
        )
    missing = first_missing(parts)
    if missing:
        raise ModelFileInvalid(
            parts[0], f"part {missing.number} of {missing.count} is missing ({missing})"
        )


def _require_place(part: Path, header: GgufHeader) -> None:
    """Raise `ModelFileInvalid` when a file's name and header say different parts."""
    name = PartName.of(part)
    named = (name.number, name.count) if name and name.count > 1 else (1, 1)
    said = ((header.split_no or 0) + 1, header.split_count or 1)
    if named != said:
        raise ModelFileInvalid(
            part,
            f"by its header it is part {said[0]} of {said[1]} of a model,"
            f" by its name part {named[0]} of {named[1]}",
        )


def _sum(headers: Sequence[GgufHeader]) -> GgufHeader:
    first, *others = headers
    if not others:
        return first
    weights = sum((header.weights for header in others), first.weights)
    return evolve(
        first,
        parameters=sum(header.parameters for header in headers),
        tensor_count=sum(header.tensor_count for header in headers),
        tensor_bytes=sum(header.tensor_bytes for header in headers),
        needed_bytes=sum(header.needed_bytes for header in headers),
        weights=weights,
        shape=first.shape and first.shape.weighing(weights),
        quantization=next((it.quantization for it in headers if it.quantization), None),
    )
