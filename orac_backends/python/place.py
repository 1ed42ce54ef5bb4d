"""The file or folder that an object needs, as it is now. It blocks."""

import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from attrs import evolve, frozen

_MOST_FILES = 4096


@frozen
class Place:
    """What is at a path.

    Attributes:
        size_bytes: Of the file, or of all files below the folder.
        modified_at: When the newest of them was last written, in seconds since 1970.
        problem: Why it can not be used; None when nothing speaks against it.
        is_folder: Whether it is one.
        print: What stays the same as long as nothing is changed there.
    """

    size_bytes: int = 0
    modified_at: float | None = None
    problem: str | None = None
    is_folder: bool = False
    print: int = 0

    @classmethod
    def at(cls, path: Path) -> "Place":
        """Look at *path*; of a folder at its first 4096 files."""
        try:
            is_folder = path.is_dir()
            if problem := _refused(path, is_folder=is_folder):
                return cls(problem=problem, is_folder=is_folder)
            found = list(islice(_files(path), _MOST_FILES)) if is_folder else [path.stat()]
        except FileNotFoundError as error:
            remedy = "put it there, or correct `path`"
            return cls(problem=f"cannot be read: {error.strerror}; {remedy}")
        except OSError as error:
            return cls(problem=f"cannot be read: {error.strerror}")
        prints = sorted((it.st_ino, it.st_size, it.st_mtime_ns) for it in found)
        newest = max((it.st_mtime for it in found), default=path.stat().st_mtime)
        size = sum(it.st_size for it in found)
        return cls(size, newest, None, is_folder, hash(tuple(prints)))

    def failing(self, problem: str | None) -> "Place":
        """Return the same with what speaks against it; None where nothing does."""
        return evolve(self, problem=problem)


def _refused(path: Path, *, is_folder: bool) -> str | None:
    if not is_folder and not stat.S_ISREG(path.stat().st_mode):
        return "is neither a file nor a folder"
    if not os.access(path, os.R_OK | (os.X_OK if is_folder else 0)):
        return "cannot be read: it is not ours to read"
    return None


def _files(folder: Path) -> Iterator[os.stat_result]:
    for each in os.scandir(folder):
        if each.is_dir(follow_symlinks=False):
            yield from _files(Path(each.path))
        elif each.is_file():
            yield each.stat()
