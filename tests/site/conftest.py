"""The documentation, built once; without Sphinx nothing of this folder is collected."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.site.pages import DOCS

collect_ignore_glob = [] if find_spec("sphinx") and find_spec("furo") else ["test_*.py"]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder with the site: the one that `ORAC_SITE` names, else one that is made here."""
    if built := os.environ.get("ORAC_SITE"):
        return Path(built).resolve()
    folder = tmp_path_factory.mktemp("site")
    build = ["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", DOCS, folder / "html"]
    done = subprocess.run([sys.executable, *build], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"
