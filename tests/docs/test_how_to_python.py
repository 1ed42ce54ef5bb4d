"""The page on objects of one's own, held to what the kind takes."""

from attrs import fields

from orac_backends.python import PythonModel
from orac_backends.python.calling import KNOWN
from orac_core import Registration
from tests.docs.test_docs import ROOT

PAGE = ROOT / "docs/how-to/python-models.md"


def test_every_key_of_a_model_is_on_the_page():
    text = PAGE.read_text()
    assert all(f"| `{each.name}` |" in text for each in fields(PythonModel))


def test_what_a_program_says_and_the_manifest_says_have_the_same_names():
    registered = {each.name for each in fields(Registration)}
    in_manifest = {each.name for each in fields(PythonModel)}
    assert registered - in_manifest == {"name", "required", "load_at_start"}


def test_the_parameters_on_the_page_are_those_that_are_known():
    text = PAGE.read_text()
    named = {name for name in KNOWN if f"`{name}`" in text}
    assert set(KNOWN) - named == {"frequency_penalty", "presence_penalty", "ignore_eos"}
