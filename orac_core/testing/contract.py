"""The contract of a backend as tests of pytest's."""

import asyncio
from typing import Any

from .promise import Promise, judge
from .promises import PROMISES
from .subject import MakeSubject


class BackendContract:
    """One test for each promise of a backend; name a subclass ``Test…`` and give it a fixture.

    The fixture ``make_backend`` returns a function without arguments, an async context manager
    that yields a `Subject`. It is called anew for each promise, in an event loop of its own, so
    what the backend needs of that loop has to be opened in it::

        class TestEcho(BackendContract):
            @pytest.fixture
            def make_backend(self):
                @asynccontextmanager
                async def make():
                    async with open_echo(EchoSettings(), host) as backend:
                        yield Subject(backend, "echo")

                return make

    What a backend does not offer passes: there is nothing to hold it to. ``-k unload`` runs the
    promises whose id has that word.
    """

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Make a test of each promise; pytest calls this."""
        if "promise" in metafunc.fixturenames:
            metafunc.parametrize("promise", PROMISES, ids=[each.id for each in PROMISES])

    def test_it_keeps_its_promise(self, make_backend: MakeSubject, promise: Promise) -> None:
        """Fail with what was seen, and how to mend it, when *promise* is broken."""
        verdict = asyncio.run(judge(promise, make_backend))
        if verdict.outcome == "broken":
            raise AssertionError(str(verdict))
