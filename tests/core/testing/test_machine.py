"""The state machine passes a sound backend, and finds what single calls do not."""

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from orac_core import BackendUnavailable
from orac_core.testing import PromiseBroken
from orac_core.testing.machine import machine_of
from tests.contract.mutants import KeepsItsTurn, NeverUnloads
from tests.contract.sound import Sound
from tests.contract.test_mutants import making

QUICK = settings(
    max_examples=30, stateful_step_count=20, deadline=None, phases=[Phase.generate], database=None
)

TestSoundMachine = machine_of(making(Sound)).TestCase
TestSoundMachine.settings = QUICK


@pytest.mark.parametrize("broken", [KeepsItsTurn, NeverUnloads])
def test_a_broken_backend_is_found(broken):
    with pytest.raises((PromiseBroken, BackendUnavailable)):
        run_state_machine_as_test(machine_of(making(broken)), settings=QUICK)
