"""The backend of the tutorial: the pieces on the page are one module, and it is a good one."""

import subprocess
import sys
from pathlib import Path

from tests.docs.test_docs import ROOT, environment, of_page

PAGE = ROOT / "docs/tutorial/first-backend.md"
HOW_TO = ROOT / "docs/how-to/write-a-plugin.md"
EXAMPLE = ROOT / "examples/plugins/orac-backend-phrases"
NAME = "orac_backend_phrases"


def test_the_pieces_of_the_page_are_the_module_that_lies_in_the_examples():
    assert module() == (EXAMPLE / f"{NAME}.py").read_text()


def test_the_pages_show_the_other_files_as_they_lie_in_the_examples():
    shown = {block.text for page in (PAGE, HOW_TO) for block in of_page(page)}
    for name in ("pyproject.toml", "tests/test_contract.py"):
        assert (EXAMPLE / name).read_text() in shown, f"{name} is not what the pages show"


def test_what_is_written_from_the_page_alone_keeps_every_promise(tmp_path):
    (tmp_path / f"{NAME}.py").write_text(module())
    environ = environment("http://127.0.0.1:1", PYTHONPATH=str(tmp_path))
    orac = Path(sys.executable).with_name("orac")
    done = subprocess.run(
        [orac, "conformance", NAME], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def module() -> str:
    """Return the module that a reader has at the end of the page."""
    pieces = [block.text for block in of_page(PAGE) if block.language == "python"]
    between = ["\n" if piece.startswith(" ") else "\n\n" for piece in pieces]
    return "".join(f"{lines}{piece}" for lines, piece in zip(between, pieces, strict=True)).lstrip()
