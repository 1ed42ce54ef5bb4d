"""The diagnosis holds on machines that it does not know: random ones, from what is reported."""

from collections import Counter

from orac_core.doctor.degradation import diagnose
from tests.core.doctor.cases import KINDS, sick, well

SICK = 200
HEALTHY = 1000


def test_of_200_random_cases_95_percent_are_diagnosed_right():
    cases = [sick(seed, KINDS[seed % len(KINDS)]) for seed in range(SICK)]
    wrong = [f"{case}; found {told}" for case in cases if (told := faults(case))]
    assert {case.causes for case in cases} == set(KINDS)
    assert len(wrong) <= 0.05 * SICK, "\n".join(wrong)


def test_of_1000_healthy_models_none_is_called_sick():
    cases = map(well, range(HEALTHY))
    wrong = [str(case) for case in cases if not diagnose(case.evidence).healthy]
    assert wrong == []


def faults(case) -> str:
    """Return what is wrong with the diagnosis; nothing when it is right."""
    diagnosis = diagnose(case.evidence)
    found = [each.cause for each in diagnosis.findings]
    right = Counter(found) == Counter(case.causes)
    order = case.first is None or not found or found[0] == case.first
    return "" if right and order else diagnosis.summary + f" (first: {case.first})"
