"""Where tokens are found: variables, files that variables name, and the folder of ORAC's state."""

import os
import secrets
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from attrs import field, frozen

from orac_core import ConfigurationError
from orac_core.state_directory import remedy, require_ours

from .tokens import checked

ADMIN, USER, CLIENT = "ORAC_ADMIN_TOKEN", "ORAC_USER_TOKEN", "ORAC_TOKEN"
"""Variables that hold a token; the last is for commands alone."""

NAME = "admin-token"
"""The file, in the folder of ORAC's state, of the token that ORAC makes."""

MOST_BYTES = 4096
"""A file that is longer holds no token."""

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@frozen
class Found:
    """A token in clear, and where it was.

    Attributes:
        text: The token.
        place: Where it is, in words.
        made: Whether it was made just now.
    """

    text: str = field(repr=False)
    place: str
    made: bool = False


def given(environ: Mapping[str, str], variable: str) -> Found | None:
    """Return the token in *variable*, or in the file that ``…_FILE`` names; None for none.

    Raises:
        ConfigurationError: when both are set, the file can not be read, or it is no token.
    """
    text, file = environ.get(variable), environ.get(f"{variable}_FILE")
    if text is not None and file is not None:
        raise ConfigurationError(f"{variable} and {variable}_FILE are both set; unset one of them")
    if text is not None:
        return Found(checked(text, variable), f"the variable {variable}")
    return None if file is None else _of_file(Path(file), f"{variable}_FILE")


def kept(folder: Path | None) -> Found:
    """Return the token that ORAC keeps in *folder*, made when there is none.

    Raises:
        ConfigurationError: when it can not be read or kept, or others than its owner may read it.
    """
    if folder is None:
        raise _unkept("there is no folder for it; name one in ORAC_STATE_DIR")
    file = folder / NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_ours(folder)
        made = not os.path.lexists(file) and _make(file)
        return Found(_of_ours(file), f"the file {file}", made)
    except OSError as error:
        raise _unkept(f"{file} can not be used: {remedy(error)}") from error


def lying(folder: Path | None) -> Found | None:
    """Return the token that ORAC keeps in *folder*; None when there is none that can be read."""
    if folder is None:
        return None
    file = folder / NAME
    with suppress(OSError, ConfigurationError):
        require_ours(folder)
        return Found(_of_ours(file), f"the file {file}")
    return None


def _unkept(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"a token is needed on this address, and ORAC can not keep one: {why}; or set {ADMIN} to a "
        "token of your own"
    )


def _of_file(file: Path, variable: str) -> Found:
    """Return the token in a file of the operator's, whoever may read that: secrets are 0444."""
    place = f"the file {file} of {variable}"
    try:
        text = _contents(os.open(file, _FLAGS))
    except OSError as error:
        why = error.strerror or error
        raise ConfigurationError(f"{place} can not be read: {why}; correct {variable}") from error
    return Found(checked(text, place), place)


def _of_ours(file: Path) -> str:
    """Return the token in *file*, which nobody else may be able to read.

    A file that others can read is refused and not tightened: they may know the token already.
    """
    descriptor = os.open(file, _FLAGS | os.O_NOFOLLOW)
    found = os.fstat(descriptor)
    text = _contents(descriptor)
    if found.st_uid != os.geteuid():
        raise ConfigurationError(f"{file} belongs to another user; remove it, or set {ADMIN}")
    if found.st_mode & _OTHERS:
        raise ConfigurationError(
            f"others than its owner may read the token in {file}: after `rm {file}` the next start "
            f"makes another, after `chmod 600 {file}` this one holds; or set {ADMIN}"
        )
    return checked(text, f"the file {file}")


def _contents(descriptor: int) -> str:
    """Return what the file holds, without the line break at its end; the descriptor is closed."""
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(None, "it is no regular file")
        read = opened.read(MOST_BYTES + 1)
    if len(read) > MOST_BYTES:
        raise OSError(None, f"it is longer than {MOST_BYTES} bytes")
    return read.decode(errors="replace").removesuffix("\n").removesuffix("\r")


def _make(file: Path) -> bool:
    """Put a new token into *file*, all of it or nothing; return False where another was faster."""
    descriptor, name = tempfile.mkstemp(".tmp", f".{file.name}.", file.parent)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(f"{secrets.token_urlsafe(32)}\n".encode())
            opened.flush()
            os.fsync(descriptor)
        return _link(Path(name), file)
    finally:
        Path(name).unlink(missing_ok=True)


def _link(written: Path, file: Path) -> bool:
    """Let *file* be what was written; of two that start at once both take that of the first."""
    try:
        file.hardlink_to(written)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        written.replace(file)
    return True
