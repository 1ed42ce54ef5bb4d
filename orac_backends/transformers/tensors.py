"""The header of a safetensors file: which tensors it holds, and where.

The format is 8 bytes with the length of the header, the header as JSON, and the data. See
https://huggingface.co/docs/safetensors: offsets leave no hole, and the last one is the end of the
file. Nothing is allocated for what a file merely says, and no data is read.
"""

from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Annotated

import msgspec
from attrs import frozen
from msgspec import Meta

_LENGTH = 8
_MAX_HEADER = 8 << 20  # 30,000 tensors take 4 MiB
_MAX_TENSORS = 1 << 17
_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}

_Size = Annotated[int, Meta(ge=0, le=1 << 53)]


class Unusable(ValueError):
    """What is on the disk is no checkpoint that can be used; the text says why."""


@frozen
class Tensor:
    """A tensor of a file.

    Attributes:
        name: Of the tensor.
        dtype: As the format calls it: ``F32``, ``BF16`` …
        elements: Numbers that it has.
        size_bytes: Its size in the file.
    """

    name: str
    dtype: str
    elements: int
    size_bytes: int


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    dtype: str
    shape: Annotated[tuple[_Size, ...], Meta(max_length=8)]
    data_offsets: tuple[_Size, _Size]


def tensors(path: Path) -> tuple[Tensor, ...]:
    """Return the tensors of a file, in the order of their data.

    Raises:
        Unusable: when it is no safetensors file, or is cut.
        OSError: when it can not be read.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        length = int.from_bytes(file.read(_LENGTH), "little")
        if size < _LENGTH or length > size - _LENGTH:
            raise Unusable(_not_whole(size))
        if length > _MAX_HEADER:
            raise Unusable(f"a header of {length} bytes is longer than {_MAX_HEADER}")
        entries = _entries(file.read(length))
    _check_places(entries, size - _LENGTH - length)
    return tuple(_tensor(name, entry) for name, entry in entries)


def _not_whole(size: int) -> str:
    told = "is empty" if not size else "is cut, or no safetensors file"
    return f"{told}: the header does not fit into its {size} bytes; copy it again"


def _entries(header: bytes) -> list[tuple[str, _Entry]]:
    try:
        raw = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        raw.pop("__metadata__", None)
        if not 0 < len(raw) <= _MAX_TENSORS:
            raise Unusable(f"it says that it has {len(raw)} tensors")
        found = {name: msgspec.json.decode(it, type=_Entry) for name, it in raw.items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable(f"the header is no list of tensors ({error})") from error
    return sorted(found.items(), key=lambda named: named[1].data_offsets)


def _check_places(entries: list[tuple[str, _Entry]], data_bytes: int) -> None:
    places = [entry.data_offsets for _, entry in entries]
    last = max(end for _, end in places)
    if last > data_bytes:
        raise Unusable(
            f"is cut: its tensors take {last} bytes, and {data_bytes} are there; copy it again"
        )
    holes = any(end != begin for (_, end), (begin, _) in pairwise([(0, 0), *places]))
    if holes or last != data_bytes or any(end < begin for begin, end in places):
        raise Unusable("the places of its tensors overlap, or leave holes")


def _tensor(name: str, entry: _Entry) -> Tensor:
    bits = _BITS.get(entry.dtype)
    if bits is None:
        raise Unusable(f"a tensor is of the unknown type {entry.dtype[:20]!a}")
    elements = prod(entry.shape)
    begin, end = entry.data_offsets
    if 8 * (end - begin) != bits * elements:
        raise Unusable(f"the tensor {name[:60]!a} does not have the size of its shape")
    return Tensor(name, entry.dtype, elements, end - begin)
