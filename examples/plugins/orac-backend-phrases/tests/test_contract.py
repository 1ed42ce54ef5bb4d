"""The backend keeps every promise of the contract."""

from contextlib import asynccontextmanager

import pytest
from orac_backend_phrases import PhrasesBackend, PhrasesSettings

from orac_core.testing import BackendContract, Subject


class TestPhrases(BackendContract):
    @pytest.fixture
    def make_backend(self):
        @asynccontextmanager
        async def make():
            settings = PhrasesSettings(otherwise="I can not answer that now, but I can wait.")
            yield Subject(PhrasesBackend(settings), "phrases")

        return make
