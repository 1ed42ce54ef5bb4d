"""Tool calls, instructions, exact answers and patterns."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core.benchmark.quality.answers import ExactCheck, RegexCheck, normalised
from orac_core.benchmark.quality.instructions import (
    COUNTED,
    SHAPED,
    Instruction,
    InstructionCheck,
    variants,
)
from orac_core.benchmark.quality.tool_calls import Tool, ToolCallCheck

MOVE = Tool(
    "move",
    "Drives.",
    {
        "type": "object",
        "properties": {"meters": {"type": "number"}},
        "required": ["meters"],
        "additionalProperties": False,
    },
)
STOP = Tool("stop", "Stops.")
CALL = ToolCallCheck((MOVE, STOP), "move", {"meters": 2})


def hits(check, text):
    return [mark.hits for mark in check.outcome(text).marks]


@pytest.mark.parametrize(
    ("answer", "name_valid_equal"),
    [
        ('{"name": "move", "arguments": {"meters": 2}}', [1, 1, 1]),
        ('{"name": "move", "arguments": {"meters": 2.0}}', [1, 1, 1]),
        ('```json\n{"name": "move", "arguments": {"meters": 2}}\n```', [1, 1, 1]),
        ('{"name": "move", "arguments": {"meters": 3}}', [1, 1, 0]),
        ('{"name": "move", "arguments": {"meters": "2"}}', [1, 0, 0]),
        ('{"name": "move", "arguments": {"meters": true}}', [1, 0, 0]),
        ('{"name": "move", "arguments": {"meters": 2, "fast": 1}}', [1, 0, 0]),
        ('{"name": "move", "arguments": "{\\"meters\\": 2}"}', [1, 0, 0]),
        ('{"name": "move"}', [1, 0, 0]),
        ('{"name": "stop", "arguments": {}}', [0, 1, 0]),
        ('{"name": "Move", "arguments": {"meters": 2}}', [0, 0, 0]),
        ('{"name": ["move"], "arguments": {"meters": 2}}', [0, 0, 0]),
        ('[{"name": "move", "arguments": {"meters": 2}}]', [0, 0, 0]),
        ("move(2)", [0, 0, 0]),
        ("{}", [0, 0, 0]),
    ],
)
def test_name_form_and_values_of_a_call_are_three_rates(answer, name_valid_equal):
    assert hits(CALL, answer) == name_valid_equal
    assert CALL.outcome(answer).passed == (name_valid_equal == [1, 1, 1])


def test_the_tools_are_told_to_the_model():
    assert '- move: Drives. Arguments: {"type":"object"' in CALL.briefing
    assert '{"name": "tool name", "arguments"' in CALL.briefing


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: ToolCallCheck((MOVE, MOVE), "move", {"meters": 1}), "same name"),
        (lambda: ToolCallCheck((MOVE,), "fly"), "there is no tool"),
        (lambda: ToolCallCheck((MOVE,), "move", {"meters": "far"}), "not of type"),
        (lambda: ToolCallCheck((), "move"), "Length"),
        (lambda: RegexCheck("("), "not a usable"),
        (lambda: RegexCheck("(?=a)b"), "look-around"),
        (lambda: RegexCheck(r"(a)\1"), "back references"),
        (lambda: RegexCheck("a)|(b"), "not a usable"),
        (lambda: RegexCheck("a*"), "empty answer"),
        (lambda: ExactCheck(()), "at least one"),
        (lambda: ExactCheck(("a", " . ")), "blank"),
        (lambda: Instruction("jokes"), "jokes"),
        (lambda: Instruction("words"), "at_least"),
        (lambda: Instruction("words", at_least=3, at_most=2), "the lesser first"),
        (lambda: Instruction("lowercase", at_least=1), "at_least"),
        (lambda: Instruction("contains"), "texts"),
        (lambda: Instruction("contains", texts=("",)), "texts"),
        (lambda: Instruction("words", at_least=1, texts=("a",)), "texts"),
    ],
)
def test_what_nobody_could_check_is_refused(make, fault):
    with pytest.raises(ValueError, match=fault):
        make()


@pytest.mark.parametrize(
    ("rule", "text", "count"),
    [
        ("words", " one  two\nthree ", 3),
        ("sentences", "One. Two! Three? four", 4),
        ("sentences", "It is 1.5 m... far.", 2),
        ("sentences", 'He said "Stop." Then left.', 2),
        ("sentences", "走。停。", 2),
        ("sentences", "...", 0),
        ("lines", "a\n\n b \n", 2),
        ("paragraphs", "a\nb\n \n\nc", 2),
        ("bullets", "- a\n* b\n  • c\n-d\n-", 3),
        ("numbered", "1. a\n2) b\n3. c", 3),
        ("numbered", "1. a\n3. b", 0),
        ("numbered", "no list", 0),
        ("characters", "  ab ", 2),
    ],
)
def test_things_are_counted(rule, text, count):
    assert COUNTED[rule](text) == count


@pytest.mark.parametrize(
    ("instruction", "follows", "breaks"),
    [
        (Instruction("contains", texts=("Arm", "leg")), "an ARM, a LEG", "an arm"),
        (Instruction("contains", texts=("Arm",), case=True), "Arm", "arm"),
        (Instruction("lacks", texts=("no",)), "yes", "north"),
        (Instruction("starts_with", texts=("Dear", "Hello")), " hello you", "you"),
        (Instruction("ends_with", texts=("end.",)), "the End. ", "the end"),
        (Instruction("lowercase"), "all small 1", "Not small"),
        (Instruction("uppercase"), "ALL 1!", "All"),
        (Instruction("json"), '{"a": 1}', "{}"),
        (Instruction("words", at_least=2), "a b c", "a"),
        (Instruction("words", at_most=2), "a b", "a b c"),
    ],
)
def test_instructions_are_followed_or_broken(instruction, follows, breaks):
    assert instruction.followed(follows)
    assert not instruction.followed(breaks)


@given(st.sampled_from([*COUNTED, *SHAPED]), st.text(alphabet=" \n\t\u00a0", max_size=9))
def test_an_answer_without_content_follows_nothing(rule, blank):
    at_most = 5 if rule in COUNTED else None
    assert not Instruction(rule, at_most=at_most).followed(blank)


def test_strict_and_loose_and_both_levels_are_apart():
    check = InstructionCheck((Instruction("lines", at_most=1), Instruction("lowercase")))
    assert hits(check, "Sure:\nall small") == [0, 1, 0, 2]
    assert [mark.n for mark in check.outcome("").marks] == [1, 1, 2, 2]
    assert check.outcome("Big").problem == "not kept to: lowercase"


@given(st.text(alphabet="ab*\n ", max_size=30))
def test_there_are_eight_variants_and_the_text_is_one(text):
    assert len(variants(text)) == 8
    assert text in variants(text)
    assert text.replace("*", "") in variants(text)


@given(st.text(max_size=80))
def test_loose_is_never_less_than_strict(text):
    check = InstructionCheck(
        (
            Instruction("words", at_least=2),
            Instruction("lowercase"),
            Instruction("lacks", texts=("*",)),
            Instruction("sentences", at_least=1, at_most=2),
        )
    )
    prompt_strict, prompt_loose, strict, loose = hits(check, text)
    assert prompt_loose >= prompt_strict
    assert loose >= strict
    assert prompt_strict == (strict == 4)


def test_first_and_last_line_are_left_out():
    assert "b" in variants("a\nb\nc")
    assert "b\nc" in variants("a\nb\nc")
    assert "a\nb" in variants("a\nb\nc")


@pytest.mark.parametrize("long", ["." * 30_000 + "x", '."' * 15_000, "\n" * 30_000, "- " * 15_000])
def test_counting_takes_no_longer_than_the_text_is_long(long):
    began = time.perf_counter()
    for count in COUNTED.values():
        count(long)
    assert time.perf_counter() - began < 2


def test_exact_answers_are_compared_normalised():
    check = ExactCheck(("North east",))
    assert check.outcome("  north\n EAST. ").passed
    assert not check.outcome("north-east").passed
    assert check.outcome("south").problem == "'south' where 'North east' is right"
    assert not ExactCheck(("North",), case=True).outcome("north").passed


@given(st.text())
def test_normalising_twice_changes_nothing_but_another_full_stop(text):
    once = normalised(text)
    assert normalised(once) in {once, once[:-1].rstrip()}
    assert normalised(f" {text}\n") == once


def test_all_of_the_answer_has_to_match_a_pattern():
    check = RegexCheck(r"\d\d:\d\d|noon")
    assert check.outcome(" 14:15\n").passed
    assert check.outcome("noon").passed
    assert not check.outcome("at 14:15").passed
    assert not check.outcome("noon or 14:15").passed
