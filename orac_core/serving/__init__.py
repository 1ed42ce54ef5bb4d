"""The only room with state: names, queues, loads, and the manager in front of them all."""

from .admission import Limits
from .door import open_manager, run
from .manager import ModelManager
from .names import Names

__all__ = ["Limits", "ModelManager", "Names", "open_manager", "run"]
