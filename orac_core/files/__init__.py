"""Model files: where they are, what their headers say, whether they are whole."""

from .catalog import LookedAt, ModelFiles
from .folder import Contents, FileSet, find
from .gguf import read_header
from .header import GgufHeader
from .integrity import check
from .model_file import ModelFile
from .paths import Place, search_path

__all__ = [
    "Contents",
    "FileSet",
    "GgufHeader",
    "LookedAt",
    "ModelFile",
    "ModelFiles",
    "Place",
    "check",
    "find",
    "read_header",
    "search_path",
]
