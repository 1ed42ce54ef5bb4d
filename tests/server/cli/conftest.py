import pytest

from orac_server.cli.machine import VARIABLES

NOBODY = "http://127.0.0.1:9"
"""An address where nothing listens."""


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """Keep what is on this machine out of the test: models, manifests, a running server."""
    home = tmp_path / "home" / "work"
    home.mkdir(parents=True)
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ORAC_URL", NOBODY)
    return home


@pytest.fixture
def models(tmp_path):
    """An empty folder for models."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder
