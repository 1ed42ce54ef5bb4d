"""Copy Swagger UI out of its npm package: what `GET /docs` is made of.

    python scripts/vendor_swagger.py 5.35.0

It needs ``npm``. What it copies, and what that hashes to, stands in ``swagger.lock.json``.
"""

import base64
import gzip
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "swagger-ui-dist"
FOLDER = Path(__file__).parents[1] / "orac_server" / "docs_ui"
PACKED = ("swagger-ui-bundle.js", "swagger-ui.css")
PLAIN = ("LICENSE", "NOTICE")
LOCK = "swagger.lock.json"


def main() -> None:
    """Fetch the version that is named, copy it and write the lock file."""
    version = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        archive = fetched(version, Path(folder))
        files = copied(archive)
        integrity = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    lock = {
        "package": PACKAGE,
        "version": version,
        "integrity": f"sha512-{integrity}",
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    (FOLDER / LOCK).write_text(json.dumps(lock, indent=2) + "\n")
    print(f"{PACKAGE} {version} is in {FOLDER}")


def fetched(version: str, folder: Path) -> Path:
    """Return the package, as npm has checked it, in *folder*."""
    command = ["npm", "pack", f"{PACKAGE}@{version}", "--silent"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603 - ours
    return next(folder.glob("*.tgz"))


def copied(archive: Path) -> dict[str, bytes]:
    """Copy what is needed of the package; return it by name, as it is in there."""
    files = {}
    with tarfile.open(archive) as package:
        for name in (*PACKED, *PLAIN):
            member = package.extractfile(f"package/{name}")
            if member is None:
                raise SystemExit(f"{archive.name} has no {name}")
            files[name] = member.read()
    for name in PACKED:
        # The time would make another file of the same content.
        (FOLDER / f"{name}.gz").write_bytes(gzip.compress(files[name], 9, mtime=0))
    for name in PLAIN:
        (FOLDER / name).write_bytes(files[name])
    return files


if __name__ == "__main__":
    main()
