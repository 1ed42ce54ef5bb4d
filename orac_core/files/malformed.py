"""What is wrong with the bytes of a file, before anybody knows the file's path."""

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
