"""What the machine says of itself; what it does not say is None, never 0."""

from .sensors import Sensors
from .values import Device, Gpu, Machine, Memory

__all__ = ["Device", "Gpu", "Machine", "Memory", "Sensors"]
