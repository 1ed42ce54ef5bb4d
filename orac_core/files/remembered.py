"""What was read from files that have not changed since."""

from pathlib import Path
from typing import Self

from attrs import define, field, frozen

from ..errors import ModelFileInvalid
from .gguf import read_header
from .header import GgufHeader
from .malformed import fault


@frozen
class FileState:
    """What tells whether a file is still the one it was; times in nanoseconds since 1970."""

    path: Path
    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int  # a chmod shows in nothing else

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the state of a file.

        Raises:
            ModelFileInvalid: It is gone, or the system does not let us look.
        """
        try:
            found = path.stat()
        except OSError as error:
            raise ModelFileInvalid(path, fault(error)) from error
        identity = (found.st_dev, found.st_ino)
        return cls(path, *identity, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    @property
    def contents(self) -> tuple[int, ...]:
        """What stays the same as long as the bytes do, under whatever name."""
        return self.device, self.inode, self.size_bytes, self.modified_ns


@define(eq=False)
class Headers:
    """The headers of the files that the last two scans met, or what is wrong with them."""

    _before: dict[FileState, GgufHeader | str] = field(factory=dict, init=False)
    _now: dict[FileState, GgufHeader | str] = field(factory=dict, init=False)

    def begin_scan(self) -> None:
        """Forget the files that the scan before the last one met and the last one did not."""
        self._before, self._now = self._now, {}

    def of(self, path: Path) -> GgufHeader:
        """Return the header of a file, read only when the file is new or has changed.

        Raises:
            ModelFileInvalid: It has none that can be read.
        """
        state = FileState.of(path)
        answer = self._before.get(state) or _answer(path)
        self._now[state] = answer
        if isinstance(answer, str):
            raise ModelFileInvalid(path, answer)
        return answer


def _answer(path: Path) -> GgufHeader | str:
    try:
        return read_header(path)
    except ModelFileInvalid as error:
        if isinstance(error.__cause__, OSError):
            raise  # what the system refuses now it may allow the next time
        return error.problem
