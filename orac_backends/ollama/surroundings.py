"""The machine that Ollama runs on, as far as ORAC can see it: only when it is ORAC's own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from attrs import frozen

from .address import Address
from .importing import store_of
from .machine import available_bytes
from .placement import has_gpu, shares_memory
from .settings import OllamaSettings


@frozen
class Surroundings:
    """What holds for the machine of one Ollama.

    Attributes:
        expect_gpu: Whether its models should be on a GPU.
        shared_memory: Whether its CPU and GPU share one memory.
        store: Where it keeps its models; None when that is not known.
        available: Tells its available memory; None when it is another machine.
        remote: Whether its models lie in the memory of another machine.
    """

    expect_gpu: bool = False
    shared_memory: bool = False
    store: Path | None = None
    available: Callable[[], int] | None = None
    remote: bool = False

    @classmethod
    def of(cls, settings: OllamaSettings, address: Address, environ: Mapping[str, str]) -> Self:
        """Look around; of another machine nothing is known but what the settings say."""
        local = settings.local_memory
        if not address.on_this_machine:
            return cls(
                expect_gpu=bool(settings.expect_gpu),
                shared_memory=bool(local) and shares_memory(),
                available=available_bytes if local else None,
                remote=not local,
            )
        expect = has_gpu() if settings.expect_gpu is None else settings.expect_gpu
        store = store_of(settings.store, environ)
        return cls(expect, shares_memory(), store, available_bytes)
