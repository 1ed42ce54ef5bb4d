"""How to start a worker, whose process holds torch and nothing of ORAC."""

import json
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from orac_core import BackendUnavailable

from .._launch import Launch
from .._process import child_environment
from .plan import Plan

_WORKER = "orac_backends._transformers"
_NEEDED = ("torch", "transformers")

# Nothing is fetched, nothing is told to anyone, and no kernel of a stranger's is looked for.
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "USE_HUB_KERNELS": "NO",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


def engine_version() -> str:
    """Return the versions of what serves, without importing it.

    Raises:
        BackendUnavailable: when something of it is not installed.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise BackendUnavailable(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed; "
            "`pip install 'orac[transformers]'` where ORAC is installed",
        )
    return ", ".join(f"{name} {installed(name) or 'of unknown version'}" for name in _NEEDED[::-1])


def installed(name: str) -> str | None:
    """Return the version of a package; None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def launch(plan: Plan, key: str, at: Path) -> Launch:
    """Return how to start a worker that listens on the Unix socket *at*, guarded by *key*.

    Its package stands beside the others and not in this one, which would bring the core with it.
    """
    wishes = {
        "model": str(plan.checkpoint.path.absolute()),
        "socket": str(at),
        "key": key,
        "context_length": plan.context_length,
        "device": plan.device,
        "dtype": plan.dtype,
        "threads": plan.threads,
        "parent": os.getpid(),
    }
    own = {"HF_HOME": str(at.parent), "OMP_NUM_THREADS": str(plan.threads)}
    return Launch(
        argv=(sys.executable, "-P", "-m", _WORKER),
        environment=child_environment() | _OFFLINE | own,
        socket=at,
        stdin=json.dumps(wishes).encode() + b"\n",
    )
