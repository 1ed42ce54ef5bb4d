"""The manifest: one TOML or JSON file that says which backends and models ORAC serves."""

from .active import ActiveProfile, activated
from .checks import place
from .environment import PROFILES, variables
from .layers import DEFAULT, Option, Settled, over, parse, read, settled
from .places import DEFAULT_PLACES, MAX_BYTES, VARIABLE, decoded, find
from .roles import Profile, RoleSettings
from .settings import (
    AdapterSettings,
    BackendEntry,
    BenchmarkSettings,
    FileSettings,
    ModelsSettings,
    ServerSettings,
)
from .structure import refusal, structure
from .whole import Manifest

__all__ = [
    "DEFAULT",
    "DEFAULT_PLACES",
    "MAX_BYTES",
    "PROFILES",
    "VARIABLE",
    "ActiveProfile",
    "AdapterSettings",
    "BackendEntry",
    "BenchmarkSettings",
    "FileSettings",
    "Manifest",
    "ModelsSettings",
    "Option",
    "Profile",
    "RoleSettings",
    "ServerSettings",
    "Settled",
    "activated",
    "decoded",
    "find",
    "over",
    "parse",
    "place",
    "read",
    "refusal",
    "settled",
    "structure",
    "variables",
]
