"""What a file is that calls itself .gguf and is none."""

HEAD_BYTES = 64
"""How much of a file's beginning `foreign` wants to see."""

_GGML = "a GGML file, which llama.cpp gave up for GGUF; convert it again"

_MAGICS = {
    b"version https://git-lfs": "a Git LFS pointer, not the model; fetch it with `git lfs pull`",
    b"gguf": "its magic is 'gguf' in small letters",
    b"FUGG": "its magic is backwards, as if written by a big-endian machine",
    b"GGML": _GGML,
    b"ggml": _GGML,
    b"lmgg": _GGML,
    b"fmgg": _GGML,
    b"tjgg": _GGML,
    b"PK\x03\x04": "a ZIP archive, perhaps a PyTorch checkpoint",
    b"\x1f\x8b": "a gzip archive; unpack it first",
    b"\x80\x02": "a Python pickle, which ORAC never opens",
}
_TEXTS = {
    b"<!doctype": "an HTML page; the download was answered by a web page",
    b"<html": "an HTML page; the download was answered by a web page",
    b"<?xml": "an XML answer; the download has failed",
    b"{": "a JSON answer; the download has failed",
}


def foreign(head: bytes) -> str:
    """Return what the bytes at the beginning of a file tell about it."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return (
        _first(_MAGICS, head)
        or _first(_TEXTS, text)
        or _by_shape(head)
        or f"it begins with {head[:4]!r} and not with b'GGUF'"
    )


def _first(table: dict[bytes, str], head: bytes) -> str | None:
    return next((what for start, what in table.items() if head.startswith(start)), None)


def _by_shape(head: bytes) -> str | None:
    if not head.strip(b"\0"):
        return "it begins with zeros; the download may be unfinished"
    if head[8:9] == b"{":
        return "a safetensors file; convert it to GGUF first"
    return None
