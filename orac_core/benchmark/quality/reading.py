"""Reading tasks from files of JSON Lines: one task a line, so that a mistake has a line.

Lines rather than TOML, as schemas and expected arguments are JSON themselves and would have to be
written in two languages otherwise.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from attrs import frozen

from ...errors import ConfigurationError
from ...manifest import structure
from .answers import ExactCheck, RegexCheck
from .forms import JsonCheck, SchemaCheck
from .instructions import InstructionCheck
from .json_text import NotJson, read
from .outcome import Check
from .plans import PlanCheck
from .tasks import Question, Task, TaskSet
from .tool_calls import ToolCallCheck

MAX_BYTES = 4 * 1024 * 1024
"""Of one file."""

MAX_TASKS = 10_000
"""Of one folder."""

MAX_PROBLEMS = 50
"""That are told at once."""

CHECKS: Mapping[str, type[Check]] = {
    "json": JsonCheck,
    "schema": SchemaCheck,
    "tool_call": ToolCallCheck,
    "instruction": InstructionCheck,
    "exact": ExactCheck,
    "regex": RegexCheck,
    "plan": PlanCheck,
}
"""What stands for ``kind`` in a check."""

_BUILT_IN = Path(__file__).parent / "data" / "orac-tasks-1"


@frozen
class _Line:
    """A line that should hold a task."""

    place: str
    text: str


def built_in() -> TaskSet:
    """Return the tasks that come with ORAC."""
    return TaskSet.of("orac-tasks 1", _tasks(_lines(_BUILT_IN)))


def read_folder(folder: Path) -> TaskSet:
    """Return the tasks in the files ``*.jsonl`` of *folder*, by name and line.

    The set is named for the folder and the checksum of what is in it, so that results of tasks that
    were changed are not taken for results of the same.

    Raises:
        ConfigurationError: naming every mistake with its file, line and place, or that there is no
            task at all.
    """
    lines = _lines(folder)
    tasks = _tasks(lines)
    digest = sha256("\n".join(line.text for line in lines).encode()).hexdigest()[:8]
    return TaskSet.of(f"{folder.resolve().name} {digest}", tasks)


def _lines(folder: Path) -> list[_Line]:
    try:
        files = sorted(each for each in folder.iterdir() if each.suffix == ".jsonl")
        lines = [line for path in files for line in _of_file(path)]
    except OSError as error:
        raise ConfigurationError(f"{error.filename}: {error.strerror}") from error
    if not 0 < len(lines) <= MAX_TASKS:
        raise ConfigurationError(
            f"{folder}: {len(lines)} tasks in files *.jsonl; give 1 to {MAX_TASKS}"
        )
    return lines


def _of_file(path: Path) -> Iterator[_Line]:
    if path.stat().st_size > MAX_BYTES:
        raise ConfigurationError(f"{path}: larger than {MAX_BYTES} bytes; split it")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 text: {error.reason}") from error
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _Line(f"{path}:{number}", line)


def _tasks(lines: Iterable[_Line]) -> list[Task]:
    tasks: dict[str, Task] = {}
    problems: list[str] = []
    for line in lines:
        found = list(islice(_read(line, tasks), MAX_PROBLEMS))
        problems += [f"{line.place}: {problem}" for problem in found]
    if problems:
        raise ConfigurationError(
            f"{len(problems)} mistake{'s' * (len(problems) > 1)} in the tasks",
            tuple(problems[:MAX_PROBLEMS]),
        )
    return list(tasks.values())


def _read(line: _Line, tasks: dict[str, Task]) -> Iterator[str]:
    """Put the task of a line to the others, or yield what is wrong with it."""
    try:
        table = read(line.text)
    except NotJson as error:
        yield str(error)
        return
    if not isinstance(table, dict):
        yield "a task is an object"
        return
    written = table.pop("checks", None)
    question, faults = _attempt(lambda: structure(table, Question, line.place))
    checks, more = _checks(written, line.place)
    yield from (*faults, *more)
    if question is None or more:
        return
    if question.id in tasks:
        yield f"there is a task {question.id} already; give each its own id"
        return
    task, faults = _attempt(lambda: Task(question, checks))
    yield from faults
    if task is not None:
        tasks[task.id] = task


def _checks(written: Any, place: str) -> tuple[tuple[Check, ...], list[str]]:
    """Return the checks of a task, and what is wrong with them."""
    if not isinstance(written, list) or not written:
        return (), ["must be a list of one or more checks @ checks"]
    read_ones = [_check(each, f"checks[{number}]", place) for number, each in enumerate(written)]
    problems = [problem for _, problems in read_ones for problem in problems]
    return tuple(check for check, _ in read_ones if check is not None), problems


def _check(written: Any, at: str, place: str) -> tuple[Check | None, list[str]]:
    if not isinstance(written, dict) or written.get("kind") not in [*CHECKS]:
        return None, [f"a check is an object with kind, one of {', '.join(CHECKS)} @ {at}"]
    cls = CHECKS[written["kind"]]
    rest = {key: value for key, value in written.items() if key != "kind"}
    return _attempt(lambda: structure(rest, cls, place, at=at))


def _attempt(make: Callable[[], Any]) -> tuple[Any, list[str]]:
    """Return what was made and no problem, or nothing and the problems."""
    try:
        return make(), []
    except ConfigurationError as error:
        return None, list(error.problems)
    except ValueError as error:
        return None, [str(error)]
