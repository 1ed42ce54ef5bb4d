"""docs/reference/testing.md says what orac_core.testing has: no more and no less."""

import re
from pathlib import Path

from attrs import fields

from orac_core.testing import PROMISES, Subject
from orac_core.testing.faults import OPERATIONS

PAGE = (Path(__file__).parents[2] / "docs/reference/testing.md").read_text(encoding="utf-8")


def section(title):
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def rows(title):
    return re.findall(r"^\| `([^`]+)` \| (.*) \|$", section(title), flags=re.MULTILINE)


def test_every_promise_is_documented_as_it_is_told():
    told = [(each.id, f"{each.text} | {each.hint}") for each in PROMISES]
    assert rows("The promises") == told


def test_every_fault_is_documented_with_its_operation():
    named = {name: rest.split("`")[1] for name, rest in rows("Parts that a test decides")}
    assert named == OPERATIONS


def test_every_field_of_a_subject_is_documented():
    assert [name for name, _ in rows("The contract as tests")] == [
        each.name for each in fields(Subject)
    ]
