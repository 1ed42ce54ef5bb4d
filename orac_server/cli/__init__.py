"""The command ``orac``."""

from .group import main

__all__ = ["main"]
