"""What a plugin offers: kinds of backend, each with its settings and the way to open one."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from attrs import field, frozen

from .files import ModelFiles
from .registry import Registry


@frozen
class Host:
    """What ORAC lends to every backend it opens.

    Attributes:
        files: The model files found on the search path.
        environ: The environment variables that hold.
        downloads: Folder for files that are fetched; None for the first of those searched that
            can be written to.
        registry: The objects that the program which uses ORAC has registered.
    """

    files: ModelFiles
    environ: Mapping[str, str] = field(factory=lambda: dict(os.environ))
    downloads: Path | None = None
    registry: Registry = field(factory=Registry)


@frozen
class BackendKind:
    """A kind of backend that the manifest may name.

    Attributes:
        name: As it stands in the manifest: ``kind = "llamacpp"``.
        settings: An attrs class. The rest of the manifest's table is structured into it, and keys
            that it does not have are refused.
        open: Called with the settings and the host; an async context manager that yields one
            backend object and frees everything when it is left. The object's class must compare by
            identity: ``@define(eq=False)``.
        engine_version: Says the version of the engine without starting it; None when it can not.
        adapters: Whether its backends put the LoRA adapters of a load on the model; others are
            given none.
        changes: Whether a load of a model that is loaded otherwise changes it while it answers on;
            others are unloaded first.
    """

    name: str
    settings: type
    open: Callable[[Any, Host], AbstractAsyncContextManager[object]]
    engine_version: Callable[[], str | None] = lambda: None
    adapters: bool = False
    changes: bool = False
