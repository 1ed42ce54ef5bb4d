"""Model files of any size, for the benchmarks."""

import secrets
from pathlib import Path

from tests.raw_gguf import Raw

MIB = 1 << 20


def written(path: Path, mib: int) -> Path:
    """Write a sound GGUF of that size, of random bytes."""
    path.parent.mkdir(exist_ok=True)
    raw = Raw().text("general.architecture", "llama").tensor("a", mib * MIB // 4)
    header = raw.header()
    with path.open("wb") as file:
        file.write(header + bytes(-len(header) % raw.alignment))
        for _ in range(mib):
            file.write(secrets.token_bytes(MIB))
    return path
