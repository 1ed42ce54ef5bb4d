"""What is known of a file that has come in part, and what an answer adds to it. Pure.

Source: RFC 9110, sections 13 (conditional requests), 14 (ranges) and 8.8.3 (ETag).
"""

import re
from collections.abc import Mapping
from typing import Any, Self

from attrs import asdict, frozen

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_WHOLE, _PARTIAL, _UNSATISFIABLE = 200, 206, 416


@frozen
class Version:
    """What tells one version of a file from another.

    Attributes:
        etag: As the server says it, with its quotes.
        modified: When it was changed, as the server says it.
        total_bytes: Its length.
    """

    etag: str | None = None
    modified: str | None = None
    total_bytes: int | None = None

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str]) -> Self:
        """Return what an answer tells."""
        ranged = _RANGE.fullmatch(headers.get("content-range", ""))
        told = ranged[3] if ranged else headers.get("content-length", "")
        known = (status == _PARTIAL) == bool(ranged) and told.isdecimal()
        etag, modified = headers.get("etag"), headers.get("last-modified")
        return cls(etag, modified, int(told) if known else None)

    @property
    def validator(self) -> str | None:
        """What to send as ``If-Range``: a weak ETag does not promise the same bytes."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    def same(self, other: "Version") -> bool:
        """Whether both are one version, by all that both tell; copies may differ in their time."""
        mine, theirs = asdict(self), asdict(other)
        both = [name for name in mine if mine[name] is not None and theirs[name] is not None]
        counts = [name for name in both if name != "modified" or "etag" not in both]
        return bool(counts) and all(mine[name] == theirs[name] for name in counts)


@frozen
class Record:
    """What is kept beside a file that has come in part, or whole.

    Attributes:
        source: Hash of its address, which may hold a secret.
        version: Of the file.
        synced_bytes: What surely is on the disk, also when the power fails.
        boot: The run of the machine in which it was written.
    """

    source: str
    version: Version
    synced_bytes: int = 0
    boot: str = ""

    @classmethod
    def read(cls, told: Any) -> Self | None:
        """Return what was kept; None when it can not be used."""
        match told:
            case {
                "source": str(source),
                "version": {
                    "etag": str() | None as etag,
                    "modified": str() | None as modified,
                    "total_bytes": int() | None as total,
                },
                "synced_bytes": int(synced),
                "boot": str(boot),
            } if synced >= 0 and (total is None or total >= 0):
                return cls(source, Version(etag, modified, total), synced, boot)
        return None


def usable(record: Record | None, source: str, size: int, boot: str) -> int:
    """Return how many of the *size* bytes that are there can be continued.

    What was written before the machine stopped counts as far as it surely was on the disk.
    """
    if record is None or record.source != source or record.version.validator is None:
        return 0
    there = size if boot and record.boot == boot else min(size, record.synced_bytes)
    total = record.version.total_bytes
    return there if total is None or there <= total else 0


def wanted(start: int, version: Version | None) -> dict[str, str]:
    """Return the headers that ask for what is missing."""
    if not start or version is None or version.validator is None:
        return {}
    return {"Range": f"bytes={start}-", "If-Range": version.validator}


def begins(start: int, version: Version | None, status: int, headers: Mapping[str, str]) -> int:
    """Return at which byte the body of an answer begins; -1 when it has to be asked for anew.

    Args:
        start: From which byte on it was asked for.
        version: Of what is there.
        status: Of the answer, which is 200, 206 or 416.
        headers: Of the answer.
    """
    if status == _WHOLE:
        return 0
    ranged = _RANGE.fullmatch(headers.get("content-range", ""))
    fits = status == _PARTIAL and ranged is not None and int(ranged[1]) == start
    same = version is not None and version.same(Version.of(status, headers))
    return start if fits and same else -1


def taken(status: int) -> bool:
    """Whether `begins` can judge an answer of that status."""
    return status in (_WHOLE, _PARTIAL, _UNSATISFIABLE)
