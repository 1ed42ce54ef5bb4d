"""The only room with state: names, queues, loads, and the manager in front of them all."""

from .admission import Limits
from .door import open_manager, run
from .manager import ModelManager
from .names import Names
from .start import Start

__all__ = ["Limits", "ModelManager", "Names", "Start", "open_manager", "run"]
