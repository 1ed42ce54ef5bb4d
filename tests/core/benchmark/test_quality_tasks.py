"""The tasks that come with ORAC, and the files that tasks are read from."""

import json
from collections import Counter
from hashlib import sha256
from itertools import pairwise

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orac_core.benchmark import quality
from orac_core.benchmark.quality import PARTS, TaskSet, built_in, read_folder
from orac_core.benchmark.quality.answers import ExactCheck
from orac_core.benchmark.quality.reading import CHECKS
from orac_core.benchmark.quality.tasks import MAX_ANSWER
from orac_core.conversation import Message
from orac_core.errors import ConfigurationError

TASKS = built_in()
GOOD = {"id": "a", "prompt": "Say yes.", "checks": [{"kind": "exact", "answers": ["yes"]}]}
KEYS = (
    *("id", "prompt", "checks", "kind", "messages", "role", "content", "format", "schema"),
    *("world", "goal", "robot", "tools", "name", "arguments", "instructions", "rule", "texts"),
    *("answers", "pattern", "steps"),
)
WITHOUT_THOUGHT = (
    *("", " \n", "{}", "[]", "null", "true", "0", "I don't know", "I don't know.", "Yes.", "..."),
    *('{"name": null}', '{"name": "", "arguments": {}}', '""', "```json\n{}\n```", '["place"]'),
)


def folder_of(path, *lines):
    written = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    (path / "mine.jsonl").write_text("\n".join(written))
    return path


def problems(path, *lines):
    with pytest.raises(ConfigurationError) as caught:
        read_folder(folder_of(path, *lines))
    return [each.partition("mine.jsonl:")[2] for each in caught.value.problems]


@pytest.mark.parametrize("task", TASKS.tasks, ids=lambda task: task.id)
def test_every_task_can_be_solved(task):
    assert task.question.reference is not None
    solved = task.outcome(task.question.reference)
    assert solved.passed
    assert all(mark.hits == mark.n for mark in solved.marks)


@pytest.mark.parametrize("task", TASKS.tasks, ids=lambda task: task.id)
def test_no_task_is_passed_without_thought(task):
    told = [message.content for message in task.conversation]
    for answer in (*WITHOUT_THOUGHT, *told, "\n".join(told), " ".join(told).upper()):
        assert not task.outcome(answer).passed, answer


@pytest.mark.parametrize("task", TASKS.tasks, ids=lambda task: task.id)
def test_hardly_an_answer_of_another_task_passes(task):
    others = {other.question.reference for other in TASKS.tasks if other is not task}
    passing = [answer for answer in others if task.outcome(answer).passed]
    assert len(passing) <= 2, passing


def test_no_answer_passes_many_tasks_of_exact_answers():
    answers = [
        answer
        for task in TASKS.tasks
        for check in task.checks
        if isinstance(check, ExactCheck)
        for answer in check.answers
    ]
    assert max(Counter(answers).values()) == 1


def test_the_tasks_are_enough_of_every_kind_and_small_enough():
    kinds = Counter(kind for task in TASKS.tasks for kind in task.kinds)
    assert kinds.keys() == {part.family for part in PARTS}
    assert min(kinds.values()) >= 10
    assert 100 <= TASKS.whole <= 150
    for task in TASKS.tasks:
        assert sum(len(message.content) for message in task.conversation) < 2500
        assert len(task.question.reference) < 4 * task.question.max_tokens


def test_the_tasks_of_a_version_never_change():
    files = sorted((quality.reading._BUILT_IN).glob("*.jsonl"))
    digest = sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    assert (TASKS.name, digest[:16]) == ("orac-tasks 1", "7452b896cf195c6a"), (
        "results of other tasks are not comparable: give changed tasks a new version"
    )


def test_a_folder_is_read_by_name_and_line_and_named_for_its_content(tmp_path):
    (tmp_path / "b.jsonl").write_text(json.dumps(GOOD | {"id": "b"}))
    (tmp_path / "a.jsonl").write_text(f"\n{json.dumps(GOOD)}\n\n{json.dumps(GOOD | {'id': 'z'})}\n")
    (tmp_path / "notes.txt").write_text("no task")
    first = read_folder(tmp_path)
    assert [task.id for task in first.tasks] == ["a", "z", "b"]
    assert first.name.startswith(f"{tmp_path.name} ")
    (tmp_path / "b.jsonl").write_text(json.dumps(GOOD | {"id": "c"}))
    assert read_folder(tmp_path).name != first.name


def test_all_mistakes_are_told_at_once_each_with_its_line_and_place(tmp_path):
    found = problems(
        tmp_path,
        "{nonsense",
        {"id": "b", "prompt": 5, "checks": [{"kind": "exact", "answers": "yes"}]},
        GOOD | {"id": "UPPER"},
        GOOD | {"promt": "x"},
        GOOD | {"checks": [{"kind": "magic"}, {"kind": "json", "keys": [1]}]},
        GOOD,
        GOOD,
    )
    lines = [int(each.partition(":")[0]) for each in found]
    assert lines == [1, 2, 2, 3, 4, 5, 5, 7]
    text = "\n".join(found)
    for words in (
        "1: no JSON",
        "must be text, not int @ prompt",
        "must be a list, not str @ checks[0].answers",
        "'id' must match regex",
        '"promt"',
        "one of json, schema, tool_call, instruction, exact, regex, plan @ checks[0]",
        "must be text, not int @ checks[1].keys",
        "there is a task a already",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"prompt": ""}, "either prompt or messages"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "either prompt or messages"),
        ({"prompt": "", "messages": [{"role": "robot", "content": "hi"}]}, "messages[0].role"),
        ({"prompt": "", "messages": [{"role": "assistant", "content": "hi"}]}, "the user's"),
        ({"format": "xml"}, 'format: must be "json" or a JSON schema'),
        ({"format": {"type": "nothing"}}, "not a usable JSON schema"),
        ({"max_tokens": 0}, "'max_tokens' must be >= 1: 0"),
        ({"max_tokens": True}, "must be a whole number, not bool @ max_tokens"),
        ({"checks": []}, "one or more checks @ checks"),
        ({"checks": GOOD["checks"] * 2}, "two checks count to the same part"),
        ({"reference": "no"}, "the reference does not pass: 'no' where 'yes' is right"),
        ({"checks": [{"kind": "regex", "pattern": "("}]}, "pattern: not a usable"),
        ({"checks": [{"kind": "schema"}]}, 'lacks "schema" @ checks[0]'),
        ({"checks": [{"kind": ["json"]}]}, "an object with kind"),
        (
            {"checks": [{"kind": "plan", "world": {"width": 0}, "goal": {"robot": [1]}}]},
            "robot: must be [x, y] @ checks[0].goal",
        ),
    ],
)
def test_a_mistake_says_what_is_wrong_and_where(tmp_path, change, fault):
    assert any(fault in problem for problem in problems(tmp_path, GOOD | change)), problems(
        tmp_path, GOOD | change
    )


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(KEYS) | st.text(max_size=4),
                inner | st.sampled_from([*CHECKS]),
                max_size=5,
            )
        ),
        max_leaves=15,
    )
)
def test_no_line_whatever_it_holds_breaks_the_reader(tmp_path_factory, line):
    with pytest.raises(ConfigurationError):
        read_folder(folder_of(tmp_path_factory.mktemp("tasks"), line))


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"", "0 tasks in files"), (b"\xff\xfe", "not UTF-8"), (b"\n" * 5_000_000, "split it")],
)
def test_a_file_that_holds_no_tasks_is_refused(tmp_path, content, fault):
    (tmp_path / "mine.jsonl").write_bytes(content)
    with pytest.raises(ConfigurationError, match=fault):
        read_folder(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="nowhere: No such file"):
        read_folder(tmp_path / "nowhere")


hostile = st.text(st.characters(), max_size=40) | st.text('{}[]",:0123456789.eE-\\ud`\n')


@given(
    st.sampled_from(TASKS.tasks),
    hostile,
    st.sampled_from(
        ["{}", '["{}"]', '{{"name": "{}", "arguments": {{"x": "{}"}}}}', "```\n{}\n```"]
    ),
)
def test_no_answer_whatever_it_is_breaks_a_check(task, text, around):
    found = task.outcome(around.replace("{}", text).replace("{{", "{").replace("}}", "}"))
    assert all(0 <= mark.hits <= mark.n for mark in found.marks)
    assert found.passed == all(
        mark.hits == mark.n for mark in found.marks if not mark.part.endswith("_loose")
    )
    (found.problem or "").encode()


def test_what_checks_tell_goes_to_the_system_message(tmp_path):
    task = next(task for task in TASKS.tasks if task.id == "tool-01")
    system, prompt = task.conversation
    assert system.role == "system"
    assert "You can call these tools" in system.content
    assert prompt == Message("user", "Drive forward 3 meters.")
    said = {"system": "Be brief."}
    (own,) = read_folder(folder_of(tmp_path, GOOD | said)).tasks
    assert own.conversation == (Message("system", "Be brief."), Message("user", "Say yes."))


def test_an_answer_without_end_is_wrong_without_being_looked_at(tmp_path):
    (task,) = read_folder(folder_of(tmp_path, GOOD)).tasks
    assert task.outcome("yes" + " " * (MAX_ANSWER - 3)).passed
    assert "characters" in task.outcome("yes" + " " * MAX_ANSWER).problem


@given(st.sets(st.sampled_from([part.family for part in PARTS])), st.integers(1, 200))
def test_a_choice_keeps_the_order_and_is_spread_evenly(kinds, limit):
    wanted = [task for task in TASKS.tasks if not kinds or task.kinds & kinds]
    chosen = TASKS.chosen(kinds, limit).tasks
    places = [wanted.index(task) for task in chosen]
    gaps = {after - before for before, after in pairwise(places)}
    assert len(chosen) == min(limit, len(wanted))
    assert places == sorted(set(places))
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_a_few_tasks_have_of_every_kind():
    kinds = Counter(kind for task in TASKS.chosen(limit=20).tasks for kind in task.kinds)
    assert kinds.keys() == {part.family for part in PARTS}


def test_what_can_not_be_chosen_is_refused():
    with pytest.raises(ValueError, match="no kind 'poems'"):
        TASKS.chosen(["poems"])
    with pytest.raises(ValueError, match="at least 1"):
        TASKS.chosen(limit=0)


def test_a_part_of_the_tasks_is_named_as_such_and_by_which():
    assert TASKS.label(TASKS.whole) == f"orac-tasks 1 ({TASKS.whole})"
    few, others = TASKS.chosen(["plan"]), TASKS.chosen(["regex", "json"], 16)
    assert few.label(16).startswith(f"orac-tasks 1 (16 of {TASKS.whole}, ")
    assert few.label(16) == TASKS.chosen(["plan"]).label(16)
    assert few.label(16) != others.label(16)
    assert few.label(16) != few.label(15)


def test_a_set_of_own_tasks_counts_itself():
    one = TaskSet.of("mine 1", TASKS.tasks[:3])
    assert one.label(3) == "mine 1 (3)"
    assert evolve(one, tasks=one.tasks[:1]).label(1).startswith("mine 1 (1 of 3, ")
