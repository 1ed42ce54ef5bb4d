"""The pages on quality: their tasks are read and asked, their tables are those of the code."""

import re
from collections import Counter
from pathlib import Path

from attrs import fields

from orac_core.benchmark.quality import PARTS, built_in, measure, read_folder
from orac_core.benchmark.quality.instructions import COUNTED, SHAPED, SPELT
from orac_core.benchmark.quality.reading import CHECKS
from orac_core.benchmark.quality.tasks import Question
from orac_core.benchmark.quality.world import Goal, World

DOCS = Path(__file__).parents[3] / "docs"
HOW_TO = (DOCS / "how-to" / "own-tasks.md").read_text()
EXPLANATION = (DOCS / "explanation" / "quality.md").read_text()
ANSWERS = {
    "goto-1": '{"action":"goto","x":2,"y":-1.5}',
    "chat-1": '{"action":"unknown"}',
    "turn-1": '{"name": "rotate", "arguments": {"degrees": 90}}',
    "text-1": "Excuse me, person, you are in my way.",
    "code-1": "4711",
    "plan-1": '["move east", "pick cup", "move east", "place"]',
}


async def test_the_tasks_on_the_page_are_read_and_can_be_solved(tmp_path):
    lines = re.findall(r"^```json\n(.*?)^```$", HOW_TO, re.MULTILINE | re.DOTALL)
    (tmp_path / "shown.jsonl").write_text("".join(lines))
    tasks = read_folder(tmp_path)
    rest = iter(tasks.tasks)

    async def ask(*_):
        return ANSWERS[next(rest).id]

    found = await measure(ask, tasks)
    assert (found.score, found.failed) == (100, ())
    assert {part.name for part in PARTS} == found.parts.keys()


def test_every_key_kind_and_rule_is_on_the_page():
    keys = [each.name for cls in (Question, World, Goal, *CHECKS.values()) for each in fields(cls)]
    for name in (*keys, *CHECKS, *COUNTED, *SPELT, *SHAPED):
        assert f"`{name}`" in HOW_TO, name


def test_parts_and_weights_on_the_page_are_those_of_the_code():
    rows = re.findall(r"^\|.*\| `(\w+)` \|.*\| (\d+) \|$", EXPLANATION, re.MULTILINE)
    assert {name: float(weight) for name, weight in rows} == {
        part.name: part.weight for part in PARTS if part.weight
    }


def test_the_numbers_of_tasks_on_the_page_are_those_of_the_files():
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", EXPLANATION, re.MULTILINE)
    counted = Counter(kind for task in built_in().tasks for kind in task.kinds)
    assert {kind: int(number) for kind, number in rows} == counted
    assert f"`{built_in().name}` are {built_in().whole} tasks" in EXPLANATION
