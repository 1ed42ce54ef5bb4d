"""What is said of backends that can not be used: their models are in no list."""

import asyncio
import json
from contextlib import contextmanager

import pytest

from tests.boxes import Box, front
from tests.processes import orac_here
from tests.server.cli.conftest import NOBODY


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    """A manifest with two boxes that are down, and one of a kind that there is not."""
    data = front(Box(tmp_path / "one"), Box(tmp_path / "two"))
    data["backends"]["odd"] = {"kind": "warp"}
    (tmp_path / "orac.json").write_text(json.dumps(data))
    monkeypatch.setenv("ORAC_MANIFEST", str(tmp_path / "orac.json"))
    return data


@contextmanager
def served(folder, manifest):
    box = Box(folder / "front", manifest)
    asyncio.run(box.start())
    try:
        yield box.url
    finally:
        asyncio.run(box.stop())


def lines(done, *names):
    """Return the line on stderr for each backend, which has one."""
    assert done.returncode == 0
    found = {}
    for name in names:
        (found[name],) = [it for it in done.stderr.splitlines() if f"the backend {name} " in it]
    return found


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_list_without_a_server_says_which_backends_are_down(manifest, form):
    told = lines(orac_here("list", "--url", NOBODY, *form), "box1", "box2", "odd")
    for name in ("box1", "box2"):
        assert told[name].startswith(f"orac: the backend {name} can not be used: cannot connect to")
        assert manifest["backends"][name]["url"] in told[name]
    assert told["odd"].startswith("orac: the backend odd is not served: no plugin offers")


def test_the_list_of_a_server_says_which_of_its_backends_are_down(manifest, tmp_path):
    with served(tmp_path, manifest) as url:
        in_words, in_json = (orac_here("list", "--url", url, *it) for it in ((), ("--json",)))
    assert in_words.stdout.startswith("MODEL\t")
    assert json.loads(in_json.stdout) == {"object": "list", "data": []}
    for done in (in_words, in_json):
        told = lines(done, "box1", "box2", "odd")
        assert all("can not be used: " in each for each in told.values())
        assert "no plugin offers the kind 'warp'" in told["odd"]
