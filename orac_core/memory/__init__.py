"""What models need in memory, whether they fit, and what must go."""

from .capacity import Capacity, capacity
from .demand import Demand, demand, setup
from .estimate import Need, Setup, estimate, largest_context
from .eviction import Resident, Space, victims
from .measured import Measured, added, as_data, from_data
from .plan import Plan, plan
from .traffic import slowdown_per_token
from .words import explained, size

__all__ = [
    "Capacity",
    "Demand",
    "Measured",
    "Need",
    "Plan",
    "Resident",
    "Setup",
    "Space",
    "added",
    "as_data",
    "capacity",
    "demand",
    "estimate",
    "explained",
    "from_data",
    "largest_context",
    "plan",
    "setup",
    "size",
    "slowdown_per_token",
    "victims",
]
