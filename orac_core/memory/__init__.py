"""What models need in memory, whether they fit, and what must go."""

from .capacity import Capacity, capacity
from .demand import Demand, adapter_bytes, demand, setup
from .estimate import Need, Setup, estimate, largest_context
from .eviction import Resident, Space, victims
from .measured import Measured, added, as_data, from_data
from .plan import Plan, plan
from .savings import Savings, savings
from .traffic import slowdown_per_token
from .words import explained, size

__all__ = [
    "Capacity",
    "Demand",
    "Measured",
    "Need",
    "Plan",
    "Resident",
    "Savings",
    "Setup",
    "Space",
    "adapter_bytes",
    "added",
    "as_data",
    "capacity",
    "demand",
    "estimate",
    "explained",
    "from_data",
    "largest_context",
    "plan",
    "savings",
    "setup",
    "size",
    "slowdown_per_token",
    "victims",
]
