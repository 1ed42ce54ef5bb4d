"""A server that answers as a real Ollama does, as far as recordings of one show.

In a test's own loop: ``async with FakeOllama().serving() as fake:`` and talk to ``fake.url``. As a
program: ``python tests/fake_ollama.py serve`` with ``OLLAMA_HOST``, ``OLLAMA_MODELS`` and
``FAKE_OLLAMA_VERSION``; `write_program` makes a command ``ollama`` of it.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

from tests.ollama_fake.faults import KILLED, Faults
from tests.ollama_fake.program import main, write_program
from tests.ollama_fake.server import FakeOllama
from tests.ollama_fake.when import ManualClock

__all__ = ["KILLED", "FakeOllama", "Faults", "ManualClock", "write_program"]

if __name__ == "__main__":
    main(sys.argv[1:])
