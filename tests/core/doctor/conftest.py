import pytest

from orac_core.doctor import patient


@pytest.fixture
def given_back_cache(monkeypatch):
    """A script has no pages in the cache; its file tells that they were given back."""

    def give_back(files):
        for path in files:
            path.write_text("given back")

    monkeypatch.setattr(patient, "give_back", give_back)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_text("cached")
    return path
