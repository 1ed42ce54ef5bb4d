"""JSON of models: what is read, what is refused, and that nothing breaks the reader."""

import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core.benchmark.quality.forms import JsonCheck, SchemaCheck
from orac_core.benchmark.quality.json_text import MAX_DEPTH, NotJson, read, read_loosely, same
from orac_core.benchmark.quality.schemas import matches

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
NAME = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}


def hits(check, text):
    return {mark.part: mark.hits for mark in check.outcome(text).marks}


@given(values)
def test_what_json_writes_is_read_as_it_was(value):
    assert same(read(json.dumps(value)), value)


@given(values, st.sampled_from(["json", "", "JSON5"]))
def test_a_code_block_is_looked_into_only_loosely(value, language):
    text = f"Here it is:\n```{language}\n{json.dumps(value)}\n```\nI hope this helps."
    assert same(read_loosely(text), value)
    with pytest.raises(NotJson):
        read(text)


@given(st.text(alphabet='{}[]",:0123456789.eE+-\\ "nulltrueNaIfy`\n\ud800', max_size=60))
def test_any_text_is_read_or_refused_and_never_more(text):
    for reader in (read, read_loosely):
        try:
            value = reader(text)
        except NotJson:
            continue
        assert same(json.loads(json.dumps(value, allow_nan=False)), value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no JSON"),
        ("NaN", "JSON has no NaN"),
        ('{"a": -Infinity}', "JSON has no -Infinity"),
        ("1e999", "too large"),
        ("9" * 309, "over 308 digits"),
        ("9" * 5000, "over 308 digits"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('["\\ud800"]', "half a surrogate pair"),
        ('{"\\udc00": 1}', "half a surrogate pair"),
        ("[" * 65 + "]" * 65, "nested more than 64"),
        ('{"a":' * 100_000, "no JSON"),
        ("[" * 100_000 + "]" * 100_000, "no JSON"),
        ('{"a": 1} and more', "no JSON"),
        ("{'a': 1}", "no JSON"),
        ("\ufeff{}", "no JSON"),
        ('"a\nb"', "no JSON"),
        ("json", "no JSON"),
    ],
)
def test_what_programs_do_not_read_alike_is_refused_with_the_reason(text, reason):
    with pytest.raises(NotJson, match=reason):
        read(text)


def test_json_may_be_nested_up_to_the_limit():
    assert read("[" * MAX_DEPTH + "]" * MAX_DEPTH)


def test_of_two_code_blocks_none_is_the_answer():
    with pytest.raises(NotJson):
        read_loosely("```\n1\n```\n```\n2\n```")


def test_letters_of_the_word_json_at_the_ends_are_not_stripped():
    assert not JsonCheck(root="any").outcome('json "no"').passed
    assert hits(JsonCheck(root="any"), '```json\n"son"\n```')["json_validity_loose"]


def test_numbers_are_equal_by_value_and_never_to_true():
    assert same({"a": [1]}, {"a": [1.0]})
    assert not same([1], [True])
    assert not same([1, 2], [2, 1])
    assert not same({"a": 1}, {"a": 1, "b": 2})


def test_a_fence_fails_strictly_and_passes_loosely():
    fenced = '```json\n{"name": "arm"}\n```'
    assert hits(JsonCheck(), fenced) == {"json_validity": 0, "json_validity_loose": 1}
    assert hits(SchemaCheck(NAME), fenced) == {
        "json_validity": 0,
        "json_validity_loose": 1,
        "schema_compliance": 0,
        "schema_compliance_loose": 1,
    }


def test_json_of_another_form_is_valid_and_does_not_comply():
    found = SchemaCheck(NAME).outcome('{"name": 5}')
    assert {mark.part: mark.hits for mark in found.marks}["json_validity"] == 1
    assert found.problem == 'name: 5 is not of type "string"'


@pytest.mark.parametrize("nothing", ["{}", "[]", "", "null"])
def test_an_empty_value_is_no_answer(nothing):
    assert not JsonCheck().outcome(nothing).passed
    assert not SchemaCheck({"type": ["object", "array"]}).outcome(nothing).passed


def test_formats_are_checked():
    check = SchemaCheck({"properties": {"day": {"format": "date"}}})
    assert check.outcome('{"day": "2025-02-28"}').passed
    assert not check.outcome('{"day": "2025-02-30"}').passed


def test_keys_and_root_are_demanded():
    assert JsonCheck(root="list").outcome("[1]").passed
    assert JsonCheck(root="list").outcome('{"a": 1}').problem == "the whole is no list"
    assert JsonCheck(keys=("a", "b")).outcome('{"a": 1}').problem == "lacks the key 'b'"


@pytest.mark.parametrize(
    "schema", [{"type": "nothing"}, {"pattern": "("}, {"$ref": "https://example.org/s"}]
)
def test_a_schema_that_can_not_be_used_is_refused(schema):
    with pytest.raises(ValueError, match="not a usable JSON schema"):
        SchemaCheck(schema)


@pytest.mark.parametrize("pattern", [r"(a+)+b", r"(a|a)*b", r"(.*a){12}", r"([a-z]+)*\d"])
def test_no_pattern_takes_longer_than_the_text_is_long(pattern):
    began = time.perf_counter()
    assert not matches(pattern, "a" * 30_000 + "!")
    assert time.perf_counter() - began < 2


def test_the_limit_of_digits_is_that_of_a_double():
    assert math.isfinite(float(read("9" * 308)))
