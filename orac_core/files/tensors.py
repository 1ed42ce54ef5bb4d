"""The table of tensors in a GGUF: their sizes added up, their places checked.

Source: the GGUF specification and ``gguf.cpp`` of llama.cpp. As there, tensors lie one behind
the other in the order of the table, each at a multiple of the alignment; gaps are accepted,
overlaps are not. Beyond llama.cpp, a dimension of 0 is refused (older engines divide by it).
"""

import re
from collections import Counter

from attrs import define, field

from ..shape import Shape, Weights
from .ggml_types import TENSOR_TYPES, TensorType
from .malformed import Malformed, quoted
from .window import Window

_MAX_TENSORS = 65_536  # the largest models have some thousands
_MAX_NAME_BYTES = 63  # GGML_MAX_NAME less the closing zero
_MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
_TABLES = frozenset({"token_embd.weight", "output.weight"})
_BLOCK = re.compile(r"blk\.([0-9]{1,4})\.")
_SMALLEST_ENTRY = 8 + 4 + 4 + 8  # length of the name, dimensions, type, offset


@define(eq=False)
class TensorTable:
    """The sums over the tensors of one file.

    Attributes:
        alignment: Each tensor begins at a multiple of it.
        shapes: Takes the lengths of each tensor, where somebody wants them.
        count: Number of tensors.
        parameters: Weights in all tensors.
        size_bytes: Bytes of all tensors, without the padding between them.
        end: Bytes from the start of the data part to the end of the last tensor.
        has_gaps: Whether more than padding lies between two tensors.
    """

    alignment: int
    shapes: dict[str, tuple[int, ...]] | None = None
    count: int = field(default=0, init=False)
    parameters: int = field(default=0, init=False)
    size_bytes: int = field(default=0, init=False)
    end: int = field(default=0, init=False)
    has_gaps: bool = field(default=False, init=False)
    _names: set[str] = field(factory=set, init=False)
    _bytes_by_type: Counter[str] = field(factory=Counter, init=False)
    _bytes_by_block: Counter[int] = field(factory=Counter, init=False)
    _bytes_by_table: Counter[str] = field(factory=Counter, init=False)

    @property
    def main_type(self) -> str | None:
        """The tensor type that takes the most bytes; None when there is no tensor."""
        return max(self._bytes_by_type, key=self._bytes_by_type.__getitem__, default=None)

    @property
    def weights(self) -> Weights:
        """The bytes by what an engine does with them."""
        embedding = self._bytes_by_table["token_embd.weight"]
        output = self._bytes_by_table["output.weight"]
        blocks = self._bytes_by_block
        return Weights(
            tuple(blocks[number] for number in range(max(blocks, default=-1) + 1)),
            embedding,
            output,
            self.size_bytes - blocks.total() - embedding - output,
        )

    def read(self, window: Window, count: int) -> None:
        """Walk over ``count`` entries.

        Raises:
            Malformed: They are not as the format wants them, or say more than the file holds.
        """
        if count > _MAX_TENSORS:
            raise Malformed(f"declares {count} tensors; at most {_MAX_TENSORS} are read")
        window.require(count * _SMALLEST_ENTRY)
        for _ in range(count):
            self._add(window)
        self._names.clear()

    def _add(self, window: Window) -> None:
        name = self._new_name(window)
        dimensions = _dimensions(window, name)
        if self.shapes is not None:
            self.shapes[name] = tuple(dimensions)
        kind = _kind(window, name)
        weights, size = _amount(name, dimensions, kind, window.size)
        self._place(name, window.u64(), size)
        self.count += 1
        self.parameters += weights
        self.size_bytes += size
        self._bytes_by_type[kind.name] += size
        self._sort(name, size)

    def _sort(self, name: str, size: int) -> None:
        if name in _TABLES:
            self._bytes_by_table[name] += size
        elif (match := _BLOCK.match(name)) and (number := int(match[1])) < Shape.MAX_BLOCKS:
            self._bytes_by_block[number] += size

    def _new_name(self, window: Window) -> str:
        name = _name(window)
        if name in self._names:
            raise Malformed(f"the tensor {quoted(name)} stands in it twice")
        self._names.add(name)
        return name

    def _place(self, name: str, offset: int, size: int) -> None:
        if offset % self.alignment:
            raise Malformed(
                f"the tensor {quoted(name)} begins at {offset},"
                f" which is no multiple of the alignment {self.alignment}",
            )
        if offset < self.end:
            raise Malformed(f"the tensor {quoted(name)} overlaps the one before it")
        self.has_gaps |= offset - self.end >= self.alignment
        self.end = offset + size


def _name(window: Window) -> str:
    length = window.u64()
    window.require(length)
    if not 0 < length <= _MAX_NAME_BYTES:
        raise Malformed(f"a tensor's name has {length} bytes; 1 to {_MAX_NAME_BYTES} fit")
    raw = window.take(length)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"the tensor name {quoted(raw)} is not UTF-8") from error


def _dimensions(window: Window, name: str) -> list[int]:
    """Return the lengths, the one of a row first; a single weight has none."""
    count = window.u32()
    if count > _MAX_DIMENSIONS:
        raise Malformed(f"the tensor {quoted(name)} has {count} dimensions; at most 4 are allowed")
    dimensions = [window.u64() for _ in range(count)]
    if 0 in dimensions:
        raise Malformed(f"the tensor {quoted(name)} has a dimension of 0")
    return dimensions


def _kind(window: Window, name: str) -> TensorType:
    number = window.u32()
    try:
        return TENSOR_TYPES[number]
    except KeyError:
        raise Malformed(f"the tensor {quoted(name)} has the unknown type {number}") from None


def _amount(name: str, dimensions: list[int], kind: TensorType, limit: int) -> tuple[int, int]:
    """Return the number of weights and of bytes, none of it above what the file can hold."""
    row = dimensions[0] if dimensions else 1
    if row % kind.block:
        raise Malformed(
            f"the tensor {quoted(name)} has rows of {row} weights,"
            f" no multiple of the {kind.block} in a block of {kind.name}",
        )
    size = kind.block_bytes
    for length in (row // kind.block, *dimensions[1:]):
        size *= length
        # Checked at each step, so that four lengths of 2⁶³ never make a number of 256 bits.
        if size > limit:
            raise Malformed(f"truncated: the tensor {quoted(name)} alone is larger than the file")
    return size // kind.block_bytes * kind.block, size
