"""ORAC as a library: every local LLM engine of a machine behind one interface."""

from .errors import (
    BackendError,
    BackendUnavailable,
    ConfigurationError,
    DeadlineExceeded,
    InvalidRequest,
    ModelFileInvalid,
    ModelNotFound,
    OracError,
    PluginError,
    QueueFull,
    ShuttingDown,
    StateConflict,
)
from .files import GgufHeader, ModelFile, ModelFiles
from .health import Health
from .hookspecs import hookimpl
from .kinds import BackendKind, Host
from .manifest import Manifest
from .plugins import Instance, Plugins
from .serving import Limits, ModelManager, run
from .serving import open_manager as open  # noqa: A004 - read as orac_core.open
from .types import (
    Answer,
    Chunk,
    FileInfo,
    GenerateOptions,
    GenerateRequest,
    InstanceHealth,
    Loaded,
    LoadedInfo,
    LoadProgress,
    LoadRequest,
    Message,
    ModelInfo,
    ModelState,
    Rates,
    ServedModel,
    Unloaded,
    Usage,
)

__all__ = [
    "Answer",
    "BackendError",
    "BackendKind",
    "BackendUnavailable",
    "Chunk",
    "ConfigurationError",
    "DeadlineExceeded",
    "FileInfo",
    "GenerateOptions",
    "GenerateRequest",
    "GgufHeader",
    "Health",
    "Host",
    "Instance",
    "InstanceHealth",
    "InvalidRequest",
    "Limits",
    "LoadProgress",
    "LoadRequest",
    "Loaded",
    "LoadedInfo",
    "Manifest",
    "Message",
    "ModelFile",
    "ModelFileInvalid",
    "ModelFiles",
    "ModelInfo",
    "ModelManager",
    "ModelNotFound",
    "ModelState",
    "OracError",
    "PluginError",
    "Plugins",
    "QueueFull",
    "Rates",
    "ServedModel",
    "ShuttingDown",
    "StateConflict",
    "Unloaded",
    "Usage",
    "hookimpl",
    "open",
    "run",
]
