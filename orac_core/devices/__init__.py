"""What the machine says of itself; what it does not say is None, never 0."""

from .host import fingerprint
from .sample import Curve, DeviceSample, curve
from .sampler import Recording, Sampler
from .sensors import Sensors
from .values import Device, Gpu, GpuProcess, Limits, Machine, Memory, Power

__all__ = [
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
    "curve",
    "fingerprint",
]
