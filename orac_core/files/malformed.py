"""What is wrong with a file, in words, and how a file's own words are quoted."""

import errno

_FAULTS = {
    errno.ENOENT: "the file is gone",
    errno.EACCES: "permission denied: the user ORAC runs as may not read it",
    errno.EPERM: "permission denied: the user ORAC runs as may not read it",
    errno.ELOOP: "a symbolic link that leads back to itself",
}
_SHOWN = 60  # characters of a file's own text that an error repeats


class Malformed(ValueError):
    """The bytes are no model file that can be used; the text says why."""


def quoted(raw: bytes | str) -> str:
    """Return a text from a file as it may stand in an error or a log.

    It is shortened, put in quotes, and what does not print is escaped, so that a file cannot
    forge a line of a log or move a terminal's cursor.
    """
    text = raw.decode(errors="backslashreplace") if isinstance(raw, bytes) else raw
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def printing(text: str) -> str:
    """Return a text with all that does not print, or is no Unicode, replaced."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def fault(error: OSError) -> str:
    """Return what the system's refusal means for the file."""
    return _FAULTS.get(error.errno or 0, f"cannot be read: {error.strerror}")
