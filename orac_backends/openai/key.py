"""The key of a server: read once, sent to that server, and shown nowhere."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from attrs import field, frozen

from orac_core import BackendError, OracError

MASK = "***"

_MOST_BYTES = 8192
_LEAST = 4
_PRINTABLE = range(0x21, 0x7F)


@frozen
class Key:
    """A key, or none.

    Attributes:
        text: The key; empty where there is none.
    """

    text: str = field(default="", repr=False)

    @classmethod
    def read(
        cls,
        variable: str | None,
        file: Path | None,
        environ: Mapping[str, str],
        setting: str = "key",
    ) -> Self:
        """Return the key from an environment variable or a file.

        Args:
            variable: Name of the variable, if any.
            file: The file, if any.
            environ: All variables.
            setting: How the settings call it that name them.

        Raises:
            BackendError: when it is not there, or can not be a key.
        """
        if variable is not None:
            origin = f"the variable named in `{setting}_env`"
            return cls(_checked(environ.get(variable, ""), origin))
        if file is None:
            return cls()
        origin = f"{setting}_file {file}"
        return cls(_checked(_content(file.expanduser(), origin), origin))

    @property
    def headers(self) -> dict[str, str]:
        """What goes with each request."""
        return {"authorization": f"Bearer {self.text}"} if self.text else {}

    def masked(self, text: str) -> str:
        """Return *text* with the key made unreadable, should a server have repeated it."""
        return text.replace(self.text, MASK) if len(self.text) >= _LEAST else text

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the key out of every error that is raised within, and out of its causes."""
        try:
            yield
        except OracError as error:
            self._clean(error)
            raise

    def _clean(self, error: BaseException) -> None:
        done: set[int] = set()
        found: list[BaseException | None] = [error]
        while found:
            if (each := found.pop()) is not None and id(each) not in done:
                done.add(id(each))
                each.args = tuple(
                    self.masked(it) if isinstance(it, str) else it for it in each.args
                )
                found += [each.__cause__, each.__context__]


def _content(file: Path, origin: str) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_BYTES).decode(errors="replace")
    except OSError as error:
        raise BackendError(f"{origin} can not be read: {error.strerror}") from error


def _checked(text: str, origin: str) -> str:
    """Return a key without the white space around it; it is repeated in no message."""
    key = text.strip()
    if not key:
        raise BackendError(f"there is no key in {origin}; put it there, or take the setting out")
    if len(text) >= _MOST_BYTES or any(ord(letter) not in _PRINTABLE for letter in key):
        raise BackendError(f"what is in {origin} is no key: one line of printable letters is")
    return key
