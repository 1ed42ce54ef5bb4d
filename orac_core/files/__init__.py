"""Model files: where they are, what their headers say, whether they are whole."""

from .gguf import read_header
from .header import GgufHeader

__all__ = ["GgufHeader", "read_header"]
