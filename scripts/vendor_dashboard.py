"""Copies what the dashboard and its tests use of others out of npm's packages, as locked.

python scripts/vendor_dashboard.py          # recopies what the lock files name, and checks it
python scripts/vendor_dashboard.py --lock   # after a version was changed there: new hashes
"""

import argparse
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]
LOCKS = (
    ROOT / "orac_server/dashboard/vendor/lock.json",
    ROOT / "tests/browser/vendor/lock.json",
)
REGISTRY = "https://registry.npmjs.org"
PATIENCE_S = 60.0

Json = dict[str, Any]


def source(package: Json) -> str:
    """Return the address of the archive of a package."""
    name, version = package["name"], package["version"]
    return f"{REGISTRY}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"


def sha256(data: bytes) -> str:
    """Return the hash of *data* in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def fetched(package: Json) -> bytes:
    """Return the archive of a package."""
    with urlopen(source(package), timeout=PATIENCE_S) as response:  # noqa: S310 - always https
        data: bytes = response.read()
        return data


def members(archive: bytes, package: Json) -> dict[str, bytes]:
    """Return the files that the lock names, by the names that they get here."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {
            name: opened.extractfile(f"package/{each['from']}").read()  # type: ignore[union-attr]
            for name, each in package["files"].items()
        }


def faults(package: Json, archive: bytes, found: dict[str, bytes]) -> list[str]:
    """Return what is not as the lock says."""
    label = f"{package['name']} {package['version']}"
    wrong = [] if sha256(archive) == package["sha256"] else [f"the archive of {label}"]
    files = package["files"]
    return wrong + [
        f"{name} of {label}"
        for name, data in found.items()
        if sha256(data) != files[name]["sha256"]
    ]


def locked(package: Json, archive: bytes, found: dict[str, bytes]) -> Json:
    """Return the package with the hashes of what was found."""
    files = {
        name: {**each, "sha256": sha256(found[name])} for name, each in package["files"].items()
    }
    return {**package, "source": source(package), "sha256": sha256(archive), "files": files}


def copied(lock: Path, *, relock: bool) -> list[str]:
    """Copy everything that one lock file names; return what was refused."""
    wrong, packages = [], []
    for package in json.loads(lock.read_text())["packages"]:
        archive = fetched(package)
        found = members(archive, package)
        if not relock and (faulty := faults(package, archive, found)):
            wrong += faulty
            continue
        packages.append(locked(package, archive, found))
        for name, data in found.items():
            (lock.parent / name).write_bytes(data)
    if relock:
        lock.write_text(json.dumps({"packages": packages}, indent=2) + "\n")
    return wrong


def main() -> int:
    """Copy everything; return 1 when something is not what was locked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lock", action="store_true", help="take what is found as right")
    relock = parser.parse_args().lock
    wrong = [each for lock in LOCKS for each in copied(lock, relock=relock)]
    for each in wrong:
        print(f"{each} is not what was locked; look at it, then take it with --lock")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
