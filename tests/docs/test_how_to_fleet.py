"""The page on fleets: its manifest and its commands, with two boxes that have tokens."""

from pathlib import Path

import pytest

from tests.boxes import ADMIN, ROOT, TOKENS, USER, Box
from tests.docs.test_docs import blocks, check_commands, environment
from tests.processes import serving

PAGE = ROOT / "docs/how-to/fleet.md"
DEMO = {
    "backends": {"local": {"kind": "llamacpp", "threads": 1}},
    "models": {"paths": [str(ROOT / "orac_server/demo")]},
}


@pytest.fixture
async def boxes(tmp_path):
    made = [Box(tmp_path / name, DEMO, TOKENS) for name in ("box1", "box2")]
    for each in made:
        await each.start()
    yield made
    for each in made:
        await each.stop()


def manifest(folder: Path, boxes: list[Box]) -> Path:
    """Return the manifest of the page, with other addresses and keys."""
    (text,) = (each.text for each in blocks("toml") if each.page == PAGE)
    for number, box in enumerate(boxes, 1):
        address = f"http://192.168.1.2{number}:8000"
        assert address in text
        text = text.replace(address, box.url)
        for right, token in (("user", USER), ("admin", ADMIN)):
            place = f"/etc/orac/box{number}-{right}-token"
            assert place in text
            key = folder / f"box{number}-{right}"
            key.write_text(token)
            text = text.replace(place, str(key))
    found = folder / "orac.toml"
    found.write_text(text)
    return found


async def test_the_commands_print_what_the_page_shows(boxes, tmp_path):
    with serving("--manifest", manifest(tmp_path, boxes)) as server:
        check_commands(PAGE, environment(server.url), tmp_path)
