"""The parts of the page: what is served, how big it is, and where it is from."""

import gzip
import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "orac_server" / "dashboard"
VENDORED = [SOURCE / "vendor", ROOT / "tests" / "browser" / "vendor"]
MOST_BYTES = 150_000
IMPORTED = re.compile(r"""^(?:import|export) .*?from "(.+?)";|^import "(.+?)";""", re.MULTILINE)


def parts(folder):
    """Return the names of all files in *folder*."""
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}


def test_the_whole_page_is_in_the_package():
    packaged = Path(str(files("orac_server").joinpath("dashboard")))
    assert {name for name in parts(packaged) if "__pycache__" not in name} == parts(SOURCE)


def test_it_has_at_most_150_kb_by_gzip():
    sizes = {name: len(gzip.compress((SOURCE / name).read_bytes())) for name in parts(SOURCE)}
    assert sum(sizes.values()) <= MOST_BYTES, sizes


@pytest.mark.parametrize("folder", VENDORED, ids=["page", "tests"])
def test_what_is_from_others_is_what_was_locked_with_its_licence(folder):
    packages = json.loads((folder / "lock.json").read_text())["packages"]
    locked = {name: each for package in packages for name, each in package["files"].items()}
    assert parts(folder) == set(locked) | {"lock.json"}
    for name, each in locked.items():
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert found == each["sha256"], f"{name}: run scripts/vendor_dashboard.py"
    for package in packages:
        assert package["source"].startswith("https://registry.npmjs.org/")
        assert package["license"]
        assert any(name.endswith(".LICENSE") for name in package["files"]), package["name"]


def test_every_module_is_fetched_at_once_and_none_that_there_is_not():
    page = (SOURCE / "index.html").read_text()
    preloaded = set(re.findall(r'modulepreload" href="/dashboard/(.+?)"', page))
    assert preloaded | {"app.js"} == imported("app.js")


def imported(name, found=None):
    """Return the names of all modules that *name* needs, and its own."""
    found = set() if found is None else found
    if name not in found:
        found.add(name)
        folder = (SOURCE / name).parent
        if not name.startswith("vendor/"):
            for targets in IMPORTED.findall((SOURCE / name).read_text()):
                path = (folder / "".join(targets)).resolve()
                imported(str(path.relative_to(SOURCE)), found)
    return found


def test_no_part_names_another_host():
    for name in parts(SOURCE):
        if not name.startswith("vendor/"):
            hosts = re.findall(r"\b(?:https?|wss?)://([\w.-]+)", (SOURCE / name).read_text())
            assert set(hosts) <= {"www.w3.org"}, name


@pytest.mark.parametrize("name", sorted(parts(SOURCE) - {"index.html"}))
async def test_each_part_is_served_and_by_gzip_the_same(service, name):
    async with service.session.get(f"/dashboard/{name}") as reply:
        assert reply.status == 200
        assert reply.headers["Cache-Control"] == "no-cache"
        assert reply.headers["Vary"] == "Accept-Encoding"
        assert await reply.read() == (SOURCE / name).read_bytes()
    plain = {"Accept-Encoding": "identity"}
    reply = await service.ask("GET", f"/dashboard/{name}", headers=plain)
    assert "Content-Encoding" not in reply.headers


async def test_a_part_that_the_browser_has_is_not_sent_again(service):
    first = await service.get("/dashboard/app.js")
    tag = first.headers["ETag"]
    again = await service.ask("GET", "/dashboard/app.js", headers={"If-None-Match": tag})
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    other = await service.ask("GET", "/dashboard/app.js", headers={"If-None-Match": '"old"'})
    assert other.status == 200


@pytest.mark.parametrize(
    "path",
    ["vendor", "vendor/", "../keys.py", "%2e%2e/keys.py", "vendor/..%2f..%2fkeys.py", "index.html"],
)
async def test_v05_what_is_not_in_the_table_is_not_found(service, path):
    reply = await service.get(f"/dashboard/{path}")
    assert (reply.status, reply.error["code"]) == (404, "not_found")
