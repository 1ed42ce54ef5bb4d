"""The kind ``transformers`` keeps every promise, on the real torch."""

from contextlib import asynccontextmanager

import pytest

from orac_backends.transformers import TransformersSettings
from orac_backends.transformers.backend import open_backend
from orac_core.testing import BackendContract, Subject
from tests.transformers.conftest import MODEL


class TestTransformers(BackendContract):
    @pytest.fixture
    def make_backend(self, checkpoints):
        @asynccontextmanager
        async def make():
            chosen = TransformersSettings((checkpoints,), device="cpu", threads=1)
            async with open_backend(chosen) as backend:
                yield Subject(backend, MODEL, context_length=4096)

        return make
