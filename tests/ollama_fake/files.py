"""What a GGUF file says about itself, and how each engine refuses a broken one."""

import struct
from pathlib import Path
from typing import Any, BinaryIO

import gguf
from attrs import define, field, frozen

from .generations import Generation
from .refusal import Panicked, Refusal

_FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _LIST = 8, 9
_ABSURD = 1 << 32
_KNOWN = frozenset(gguf.MODEL_ARCH_NAMES.values())


@frozen
class Tensor:
    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def weights(self) -> int:
        weights = 1
        for length in self.shape:
            weights *= length
        return weights

    @property
    def type(self) -> str:
        return gguf.GGMLQuantizationType(self.kind).name

    @property
    def size(self) -> int:
        block, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(self.kind)]
        return self.weights // block * block_bytes


@frozen
class Header:
    """What stands before the weights. Of lists in it only the length is kept."""

    keys: dict[str, Any]
    tensors: tuple[Tensor, ...]

    @property
    def architecture(self) -> str:
        return self.keys.get("general.architecture", "unknown")

    @property
    def weights(self) -> int:
        return sum(tensor.weights for tensor in self.tensors)

    def of(self, key: str, default: Any = 0) -> Any:
        """Return the value of an architecture's own key."""
        return self.keys.get(f"{self.architecture}.{key}", default)


def looked_into(path: Path, generation: Generation) -> Header:
    """Return the header of a file.

    Raises:
        Refusal: The file is none that this generation takes.
        Panicked: This generation dies of it.
    """
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise Refusal(400, "supplied file was not in GGUF format")
        try:
            return _Reading(file, generation, path.stat().st_size).header()
        except (struct.error, KeyError):
            raise Refusal(500, "unexpected EOF") from None


def examine(path: Path, generation: Generation) -> None:
    """Refuse to load a file that an engine cannot read, though it may have been taken once."""
    header = looked_into(path, generation)
    if header.architecture not in _KNOWN:
        raise Refusal(500, f"unable to load model: {path}")


@define(eq=False)
class _Reading:
    """One pass through a header."""

    _file: BinaryIO
    _generation: Generation
    _size: int
    _keys: dict[str, Any] = field(factory=dict, init=False)

    def header(self) -> Header:
        version, tensors, keys = self._numbers("IQQ")
        if version == 1:
            raise Refusal(500, self._first_version())
        self._refuse_absurd(tensors, keys)
        for _ in range(keys):
            name = self._text()
            self._keys[name] = self._value(*self._numbers("I"))
        header = Header(self._keys, tuple(self._tensor() for _ in range(tensors)))
        self._check_extent(header)
        refusal = self._generation.cannot_quantize()
        if refusal and (version > 3 or header.architecture not in _KNOWN):
            raise refusal
        return header

    def _first_version(self) -> str:
        if self._generation.runs_llama_server:
            return "failed to read tensor name: invalid GGUF v1 string terminator"
        return "failed to read tensor shape: unexpected EOF"

    def _refuse_absurd(self, tensors: int, keys: int) -> None:
        """Refuse counts that no file can keep; what is read then for a length is the weights."""
        if max(tensors, keys) < _ABSURD:
            return
        if not self._generation.runs_llama_server:
            raise Panicked
        if keys >= _ABSURD:
            raise Refusal(500, "GGUF string length 111745565754130432 exceeds maximum 16777216")
        text = "GGUF string length 18284202314702870229 exceeds maximum 9223372036854775807"
        raise Refusal(500, f"failed to read tensor name: {text}")

    def _numbers(self, form: str) -> tuple[Any, ...]:
        form = f"<{form}"
        return struct.unpack(form, self._file.read(struct.calcsize(form)))

    def _text(self) -> str:
        (length,) = self._numbers("Q")
        if length > self._size:
            raise struct.error
        return self._file.read(length).decode(errors="replace")

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text()
        if kind == _LIST:
            return self._skipped_list()
        return self._numbers(_FIXED[kind])[0]

    def _skipped_list(self) -> range:
        kind, count = self._numbers("IQ")
        if kind == _STRING:
            for _ in range(count):
                self._text()
        else:
            self._file.seek(count * struct.calcsize(f"<{_FIXED[kind]}"), 1)
        return range(count)

    def _tensor(self) -> Tensor:
        name = self._text()
        (dimensions,) = self._numbers("I")
        shape = self._numbers(f"{dimensions}Q")
        kind, offset = self._numbers("IQ")
        return Tensor(name, shape, kind, offset)

    def _check_extent(self, header: Header) -> None:
        alignment = self._keys.get("general.alignment", 32)
        start = self._file.tell() + -self._file.tell() % alignment
        for tensor in header.tensors:
            end = start + tensor.offset + tensor.size
            if end > self._size:
                text = f'tensor "{tensor.name}" offset+size ({end})'
                raise Refusal(500, f"{text} exceeds file size ({self._size})")
