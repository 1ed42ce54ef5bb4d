"""The interface, described by itself. Nothing here is imported before somebody asks for it."""

from .operation import Body, Operation
from .specification import document

__all__ = ["Body", "Operation", "document"]
