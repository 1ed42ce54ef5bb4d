"""What a backend is tested with: the promises of the contract, and parts that a test decides.

Importing this needs nothing but ORAC itself; `BackendContract` is run by pytest.
"""

from .broken import NotOffered, PromiseBroken
from .clock import FakeClock
from .contract import BackendContract
from .device import FakeDevice
from .faults import Fault, FaultKind, seeded_faults
from .faulty import FaultyBackend
from .opening import opening
from .promise import Promise, Verdict, judge, judge_all
from .promises import PROMISES
from .subject import MakeSubject, Subject

__all__ = [
    "PROMISES",
    "BackendContract",
    "FakeClock",
    "FakeDevice",
    "Fault",
    "FaultKind",
    "FaultyBackend",
    "MakeSubject",
    "NotOffered",
    "Promise",
    "PromiseBroken",
    "Subject",
    "Verdict",
    "judge",
    "judge_all",
    "opening",
    "seeded_faults",
]
