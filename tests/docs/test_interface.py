"""What is sent and answered over HTTP is on the pages: codes of errors, events, bodies, queries."""

import re
from typing import get_args

import pytest
from attrs import fields

from orac_core.events import Kind
from orac_server.access.refusals import FORBIDDEN, HOST, ORIGIN, UNAUTHORIZED
from orac_server.errors import CODES, INTERNAL
from orac_server.openapi.operations import OPERATIONS
from tests.docs.test_docs import ROOT

REFERENCE = ROOT / "docs/reference"
FIRST_AND_LAST = {"hello", "done"}


def test_every_event_is_documented():
    page = (REFERENCE / "rest.md").read_text()
    told = page.partition("\n## Events\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| `(\w+)` \|", told, re.MULTILINE))
    assert named == {*get_args(Kind), *FIRST_AND_LAST}


def test_every_code_that_stands_for_no_class_is_documented():
    rows = re.findall(
        r"^\| (\d+) \| `(\w+)` \|", (REFERENCE / "errors.md").read_text(), re.MULTILINE
    )
    rules = {(it.status, it.code) for it in (UNAUTHORIZED, FORBIDDEN, HOST, ORIGIN, INTERNAL)}
    assert {(int(status), code) for status, code in rows} == {
        *rules,
        *CODES.items(),
        (400, "bad_request"),
    }


@pytest.mark.parametrize("line", [it for it in OPERATIONS if it.split()[1].startswith("/v1/")])
def test_whatever_a_route_takes_is_on_a_page(line):
    pages = "".join((REFERENCE / name).read_text() for name in ("rest.md", "openai.md"))
    told = set(re.findall(r'[`"](\w+)[`"]', pages)) | set(re.findall(r"[?&](\w+)=", pages))
    assert taken(OPERATIONS[line]) - told == set()


def taken(operation) -> set[str]:
    """Return the names of all that the body and the query of an operation may have."""
    classes = (operation.body and operation.body.type, operation.query)
    return {each.name for cls in classes if cls for each in fields(cls)}
