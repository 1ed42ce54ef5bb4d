"""What the machine says of itself; what it does not say is None, never 0."""

from .cards import Cards, cards, visible
from .host import fingerprint
from .sample import Curve, DeviceSample, curve
from .sampler import Recording, Sampler
from .sensors import Sensors
from .shared import Shared, shared
from .values import Card, Device, Gpu, GpuProcess, Limits, Machine, Memory, Power

__all__ = [
    "Card",
    "Cards",
    "Curve",
    "Device",
    "DeviceSample",
    "Gpu",
    "GpuProcess",
    "Limits",
    "Machine",
    "Memory",
    "Power",
    "Recording",
    "Sampler",
    "Sensors",
    "Shared",
    "cards",
    "curve",
    "fingerprint",
    "shared",
    "visible",
]
