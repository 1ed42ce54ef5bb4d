"""A GGUF put together byte by byte, so that a test can lie in any place of it."""

import struct
from pathlib import Path
from typing import Self

from attrs import define, field
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)


def text(value: str | bytes) -> bytes:
    """A string as the format writes it: its length in eight bytes, then the string."""
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def items(kind: int, count: int, raw: bytes) -> bytes:
    """A list as the format writes it: type of the items, how many, the items."""
    return struct.pack("<IQ", kind, count) + raw


@define(eq=False)
class Raw:
    """Collects entries; `build` returns the file. Counts are true unless they are given."""

    magic: bytes = b"GGUF"
    version: int = 3
    key_count: int | None = None
    tensor_count: int | None = None
    alignment: int = 32
    _keys: list[bytes] = field(factory=list, init=False)
    _tensors: list[bytes] = field(factory=list, init=False)
    _data_bytes: int = field(default=0, init=False)

    @classmethod
    def whole(cls) -> Self:
        """The smallest file that every reader accepts: a name for the architecture, a tensor."""
        return cls().text("general.architecture", "llama").tensor("a", 32)

    def key(self, name: str | bytes, kind: int, value: bytes) -> Self:
        self._keys.append(text(name) + struct.pack("<I", kind) + value)
        return self

    def text(self, name: str, value: str | bytes) -> Self:
        return self.key(name, STRING, text(value))

    def u32(self, name: str, value: int) -> Self:
        return self.key(name, U32, struct.pack("<I", value))

    def strings(self, name: str, values: list[str]) -> Self:
        return self.key(
            name, ARRAY, items(STRING, len(values), b"".join(text(value) for value in values))
        )

    def tensor(
        self, name: str | bytes, *dimensions: int, kind: int = 0, offset: int | None = None
    ) -> Self:
        """Add a tensor behind the one before, or at a given offset."""
        at = self._data_bytes if offset is None else offset
        shape = struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        self._tensors.append(text(name) + shape + struct.pack("<IQ", kind, at))
        self._data_bytes = self._padded(at + _size(dimensions, kind))
        return self

    def header(self) -> bytes:
        """Everything before the weights, without the padding."""
        tensors = len(self._tensors) if self.tensor_count is None else self.tensor_count
        keys = len(self._keys) if self.key_count is None else self.key_count
        start = self.magic + struct.pack("<IQQ", self.version, tensors, keys)
        return b"".join((start, *self._keys, *self._tensors))

    def build(self) -> bytes:
        """The whole file; its weights are zeros."""
        header = self.header()
        return header.ljust(self._padded(len(header)), b"\0") + bytes(self._data_bytes)

    def write(self, path: Path) -> Path:
        path.write_bytes(self.build())
        return path

    def _padded(self, size: int) -> int:
        return size + -size % self.alignment


def _size(dimensions: tuple[int, ...], kind: int) -> int:
    """Bytes of a tensor as far as it is honest; a tensor that lies gets one row of nothing."""
    known = kind in {*GGMLQuantizationType}
    block, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(kind)] if known else (1, 0)
    weights = 1
    for length in dimensions:
        weights *= length
    size = int(weights // block * block_bytes)
    return size if size < 1 << 20 else 0
