"""Making what a profile needs be there: which backend fetches which model, once for all who ask."""

from .plan import Wish, candidates, names_a_host, of_role
from .provisioning import Provisioning
from .report import Action, Provisioned, Step, told

__all__ = [
    "Action",
    "Provisioned",
    "Provisioning",
    "Step",
    "Wish",
    "candidates",
    "names_a_host",
    "of_role",
    "told",
]
