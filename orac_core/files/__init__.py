"""Model files: where they are, what their headers say, whether they are whole."""

from .adapter_registry import RegisteredAdapter, registered
from .adapters import Adapters
from .catalog import LookedAt, ModelFiles
from .folder import Contents, FileSet, find
from .gguf import read_header
from .hashing import Hashing, HashProgress
from .header import GgufHeader
from .integrity import check, expected
from .ledger import key_of
from .model_file import ModelFile
from .paths import Place, search_path
from .trickle import Trickle
from .verify import Verified, verify

__all__ = [
    "Adapters",
    "Contents",
    "FileSet",
    "GgufHeader",
    "HashProgress",
    "Hashing",
    "LookedAt",
    "ModelFile",
    "ModelFiles",
    "Place",
    "RegisteredAdapter",
    "Trickle",
    "Verified",
    "check",
    "expected",
    "find",
    "key_of",
    "read_header",
    "registered",
    "search_path",
    "verify",
]
