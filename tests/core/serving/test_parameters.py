from attrs import asdict, fields
from hypothesis import given
from hypothesis import strategies as st

from orac_core import GenerateOptions
from orac_core.serving.parameters import NONE, merged

NUMBERS = st.none() | st.floats(0, 5)
COUNTS = st.none() | st.integers(0, 1000)
options = st.builds(
    GenerateOptions,
    temperature=NUMBERS,
    top_p=NUMBERS,
    top_k=COUNTS,
    min_p=NUMBERS,
    seed=COUNTS,
    max_tokens=COUNTS,
    stop=st.lists(st.text(min_size=1), max_size=2).map(tuple),
    repeat_penalty=NUMBERS,
    frequency_penalty=NUMBERS,
    presence_penalty=NUMBERS,
    ignore_eos=st.none() | st.booleans(),
)


def test_a_request_goes_before_its_role_and_that_before_the_defaults():
    defaults = GenerateOptions(temperature=0.7, top_p=0.5, top_k=40, stop=("END",))
    role = GenerateOptions(top_p=0.9, max_tokens=512)
    asked = GenerateOptions(temperature=0.0, max_tokens=8)
    assert merged(defaults, role, asked) == GenerateOptions(
        temperature=0.0, top_p=0.9, top_k=40, max_tokens=8, stop=("END",)
    )


@given(options, options, options)
def test_each_parameter_is_what_the_last_says_that_says_any(defaults, role, asked):
    found = asdict(merged(defaults, role, asked))
    for each in fields(GenerateOptions):
        said = [getattr(layer, each.name) for layer in (asked, role, defaults)]
        assert found[each.name] == next((it for it in said if it not in (None, ())), each.default)


@given(options, options, options)
def test_layers_can_be_merged_two_at_a_time(first, second, third):
    assert merged(merged(first, second), third) == merged(first, second, third)


@given(options)
def test_a_layer_that_says_nothing_changes_nothing(one):
    assert merged(NONE, one, NONE) == one
