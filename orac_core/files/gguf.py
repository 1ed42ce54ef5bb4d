"""The reader of GGUF headers.

Only the header is read, and of that only what is asked for: long lists are stepped over. Every
length is compared with what is left of the file before anything is allocated. Source of the
format: the GGUF specification (``docs/gguf.md`` of ggml), versions 2 and 3, which differ in
nothing a reader of little-endian files sees.

What llama.cpp cannot load is refused: duplicate keys and tensors, unknown types, tensors that do
not fit, a model without ``general.architecture`` or without tensors. In a split model the first
part may lack tensors and the later ones the architecture, as the tools that split write them so.
"""

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from ..errors import ModelFileInvalid
from .foreign import HEAD_BYTES, foreign
from .header import GgufHeader, described
from .malformed import Malformed, fault, printing
from .metadata import Metadata
from .tensors import TensorTable
from .window import Window, opened, read_at

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SMALLEST_FILE = 24  # magic, version, number of tensors, number of keys
_SHORT = 64  # bytes of a word
_ALIGNMENT = 32  # when general.alignment does not say otherwise


def read_header(path: Path) -> GgufHeader:
    """Return what the header of the file says, after checking it against the file's size.

    It blocks for milliseconds, so call it in a thread.

    Raises:
        ModelFileInvalid: The file cannot be read, is no GGUF, or is not whole.
    """
    try:
        with opened(path) as window:
            return _header(window)
    except Malformed as error:
        raise ModelFileInvalid(path, str(error)) from error
    except OSError as error:
        raise ModelFileInvalid(path, fault(error)) from error


@frozen
class Contents:
    """What a GGUF says beyond what tells of a model.

    Attributes:
        header: What every GGUF says.
        shapes: The lengths of each tensor by its name, the one of a row first.
        adapter: ``adapter.type``: ``lora`` …; None in what is no adapter.
    """

    header: GgufHeader
    shapes: Mapping[str, tuple[int, ...]]
    adapter: str | None


def read_contents(path: Path) -> Contents:
    """Return what the file says of its tensors, and of itself as an adapter.

    It blocks for milliseconds, so call it in a thread.

    Raises:
        ModelFileInvalid: as `read_header` does.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    try:
        with opened(path) as window:
            header, keys = _walked(window, shapes)
            kind = keys.text("adapter.type", _SHORT)
            adapter = None if kind is None else printing(kind.decode(errors="replace"))
            return Contents(header, shapes, adapter)
    except Malformed as error:
        raise ModelFileInvalid(path, str(error)) from error
    except OSError as error:
        raise ModelFileInvalid(path, fault(error)) from error


def _header(window: Window) -> GgufHeader:
    return _walked(window, None)[0]


def _walked(
    window: Window, shapes: dict[str, tuple[int, ...]] | None
) -> tuple[GgufHeader, Metadata]:
    """Return the header and the keys; the shapes of the tensors go into *shapes*."""
    version = _version(window)
    tensor_count, key_count = window.u64(), window.u64()
    keys = Metadata(window.descriptor)
    keys.read(window, key_count)
    tensors = TensorTable(_alignment(keys), shapes)
    tensors.read(window, tensor_count)
    data_offset = window.position + (-window.position % tensors.alignment if tensor_count else 0)
    header = described(version, keys, tensors, data_offset)
    _require_whole(header, window.size)
    return header, keys


def _version(window: Window) -> int:
    """Step over magic and version; return the version."""
    head = read_at(window.descriptor, 0, min(HEAD_BYTES, window.size))
    _require_magic(head, window.size)
    window.skip(len(_MAGIC))
    raw = window.take(4)
    version = int.from_bytes(raw, "little")
    if version not in _VERSIONS:
        raise Malformed(_unsupported(version, int.from_bytes(raw, "big")))
    return version


def _require_magic(head: bytes, size: int) -> None:
    if size == 0:
        raise Malformed("the file is empty")
    if not head.startswith(_MAGIC):
        small = f"too small ({size:,} bytes), perhaps truncated; " if size < _SMALLEST_FILE else ""
        raise Malformed(f"not a GGUF file: {small}{foreign(head)}")
    if size < _SMALLEST_FILE:
        version = int.from_bytes(head[4:8], "little")
        raise Malformed(
            f"truncated: a GGUF (version {version}) too small to be one: {size:,} bytes"
        )


def _unsupported(version: int, swapped: int) -> str:
    if swapped in _VERSIONS:
        return f"a big-endian GGUF (version {swapped}), which llama.cpp reads on no common machine"
    return f"GGUF version {version} is not supported; versions 2 and 3 are"


def _alignment(keys: Metadata) -> int:
    alignment = keys.whole_number("general.alignment")
    if alignment is None:
        return _ALIGNMENT
    if alignment.bit_count() != 1:
        raise Malformed(f"general.alignment is {alignment}; expected a power of two")
    return alignment


def _require_whole(header: GgufHeader, size: int) -> None:
    if header.needed_bytes > size:
        needed = f"it needs {header.needed_bytes:,} bytes and has {size:,}"
        raise Malformed(f"truncated: {needed}; download it again")
