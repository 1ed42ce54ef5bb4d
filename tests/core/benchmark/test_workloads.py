import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core import InvalidRequest
from orac_core.benchmark.results import Workload
from orac_core.benchmark.workloads import (
    MOST_AT_ONCE,
    MOST_TOKENS,
    NAME,
    WORDS,
    Fit,
    chosen,
    clipped,
    parsed,
    preset,
    text,
)

tokens = st.integers(1, MOST_TOKENS)
presets = st.builds(
    preset, tokens, tokens, st.integers(0, MOST_TOKENS), st.integers(1, MOST_AT_ONCE)
)


@given(presets)
def test_a_name_says_all_there_is_to_a_workload(workload):
    assert parsed(workload.name) == workload


def test_names_are_those_of_llama_bench():
    assert parsed("pp512+tg128") == Workload("pp512+tg128", 512, 128, 0, 1)
    assert parsed("pp512+tg128@d2048c4") == Workload("pp512+tg128@d2048c4", 512, 128, 2048, 4)
    assert parsed("pp512+tg128c1").name == "pp512+tg128"


@given(st.text(max_size=30))
def test_any_other_name_is_refused_with_how_it_is_written(name):
    if NAME.fullmatch(name) is None:
        with pytest.raises(ValueError, match="write it like"):
            parsed(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "pp512",
        "pp0+tg1",
        "pp1+tg0",
        "pp1+tg1c0",
        "pp1+tg1c65",
        "pp9999999+tg1",
        "pp1+tg1@d",
        "pp٣+tg1",
    ],
)
def test_a_workload_that_makes_no_sense_is_refused(name):
    with pytest.raises(ValueError):
        parsed(name)


def test_what_nobody_chose_is_one_preset_and_the_users_own_prompts_come_first():
    assert [it.name for it in chosen((), (), 64)] == ["pp512+tg64"]
    assert [it.name for it in chosen(("a",), (), 64)] == ["prompts"]
    assert [it.name for it in chosen(("a",), ("pp8+tg8", "pp8+tg8"), 64)] == ["prompts", "pp8+tg8"]
    with pytest.raises(InvalidRequest) as caught:
        chosen((), ("pp8+tg8", "x"), 64)
    assert list(caught.value.details) == ["presets.1"]


@given(presets, st.integers(64, 1 << 22))
def test_what_was_cut_fits_into_the_context_and_is_called_what_it_is(workload, context):
    cut = clipped(workload, context)
    assert cut.concurrency == workload.concurrency
    assert parsed(cut.name) == Workload(
        cut.name, cut.prompt_tokens, cut.completion_tokens, cut.depth, cut.concurrency
    )
    assert cut.depth + cut.prompt_tokens + cut.completion_tokens <= context
    if cut.name == workload.name:
        assert cut.note == ""
    else:
        assert cut.note == f"cut from {workload.name}: the context is {context} tokens"
        assert cut.prompt_tokens <= workload.prompt_tokens
        assert cut.depth <= workload.depth
        assert not cut.depth or cut.prompt_tokens == workload.prompt_tokens


def test_prompts_of_the_user_are_never_cut():
    mine = Workload("prompts", None, 128, prompts=("x",))
    assert clipped(mine, 64) is mine


@given(st.integers(1, 100_000), st.floats(0.5, 8))
def test_the_words_of_a_text_are_learned_from_what_the_engine_counted(wanted, each):
    fit = Fit().learned(1000, round(1000 * each))
    assert abs(fit.words(wanted) * each - wanted) <= each + 0.001 * wanted


def test_a_count_that_is_not_known_teaches_nothing():
    assert Fit().learned(10, None) == Fit()
    assert Fit().learned(10, 0) == Fit()
    assert Fit().words(13) == 10


@given(st.text(max_size=20), st.text(max_size=20), st.integers(1, 300))
def test_text_is_the_same_for_the_same_key_only(key, other, words):
    found = text(key, words).split()
    assert len(found) == words
    assert set(found) <= set(WORDS)
    assert text(key, words).split() == found
    if key != other:
        assert text(key, 40) != text(other, 40)


def test_the_words_are_many_and_each_is_there_once():
    assert len(WORDS) == len(set(WORDS)) > 200
