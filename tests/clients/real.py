"""ORAC as a user starts it, with the demo's model, and tokens that clients need."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import psutil
from attrs import frozen

from tests.processes import Serving, serving
from tests.tiny_models import write
from tests.tiny_specialists import write_caller
from tests.waiting import until

ROBOT, ENDLESS, CALLER, BROKEN = "orac-robot", "endless", "caller", "broken"
WIDTH = 192
COMMAND = [{"role": "user", "content": "Move forward 1.5 meters"}]
MOVED = '{"action":"move","direction":"forward","meters":1.5}'

USER, ADMIN, WRONG = "a-token-of-some-user", "an-administrators-token", "a-token-of-nobody-at-all"
FOREIGN = {"Origin": "https://elsewhere.example"}
TOO_LARGE = "x" * (2 << 20)
TOO_LONG = "go " * 2000

MANIFEST = """
[backends.local]
kind = "llamacpp"
[profiles.default.models]
text-embedding-3-small = "orac-robot"
"""


@frozen
class Real:
    """A running `orac serve --demo`.

    It also has a model that writes for long, one that calls tools and a file that is broken.
    """

    server: Serving

    @property
    def base_url(self) -> str:
        """What a client of OpenAI's API is given."""
        return f"{self.server.url}/v1"

    def cancelled(self) -> int:
        """Return how many answers of the endless model nobody waited for any more."""
        with urlopen(f"{self.server.url}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        counts = (line for line in lines if line.startswith("orac_answers_cancelled_total{"))
        return sum(int(float(line.split()[-1])) for line in counts if f'"{ENDLESS}"' in line)

    async def stops(self, before: int) -> None:
        """Wait until an answer more than *before* was given up, and no engine computes."""
        await until(lambda: self.cancelled() > before, within_s=30)
        await until(self._rests, within_s=30)

    def _rests(self) -> bool:
        workers = psutil.Process(self.server.process.pid).children()
        return bool(workers) and not any(worker.cpu_percent(0.1) for worker in workers)


@contextmanager
def real(folder: Path) -> Iterator[Real]:
    """Run it, with its models and all that it keeps in *folder*."""
    models, manifest = folder / "models", folder / "orac.toml"
    says = {"tied": False, "likes": (("a", 9.0),)}
    write(models, "tiny-qwen3-0.6b", stem=ENDLESS, context_length=1 << 20, **says)
    write_caller(models, CALLER)
    whole = (models / f"{CALLER}.gguf").read_bytes()
    (models / f"{BROKEN}.gguf").write_bytes(whole[:-1000])
    manifest.write_text(MANIFEST)
    kept = {"HOME": str(folder), "ORAC_STATE_DIR": str(folder / "state")}
    environ = kept | {"ORAC_USER_TOKEN": USER, "ORAC_ADMIN_TOKEN": ADMIN}
    options = ("--demo", "--models-dir", models, "--manifest", manifest)
    with serving(*options, environ=environ) as server:
        _load_endless(server)
        yield Real(server)


def _load_endless(server: Serving) -> None:
    """Load it with a context that nobody reads to its end; only the administrator may."""
    asked = json.dumps({"context_length": 1 << 16}).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {ADMIN}"}
    with urlopen(Request(f"{server.url}/v1/models/{ENDLESS}/load", asked, headers)) as answer:
        assert answer.status == 200
