"""The measures of the house: small functions, small rooms, no circles. ``-s`` prints them."""

import ast
import statistics
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from attrs import field, frozen

from tests.test_layers import CORE, MAY_IMPORT, ROOT, graph, imports, modules, room

MEDIAN, NINE_IN_TEN, LONG_MODULE = 8, 25, 400
"""Lines at most: of a function, half and nine tenths of them; of a module, every one."""


@frozen
class Measures:
    """What the functions and modules of a package measure, in lines."""

    functions: list[int] = field(converter=sorted)
    modules: dict[str, int]
    circles: dict[str, set[str]]
    wrong_arrows: list[str]

    @property
    def median(self) -> float:
        return statistics.median(self.functions)

    @property
    def nine_in_ten(self) -> int:
        """Return what nine functions in ten are not longer than."""
        return self.functions[-(-9 * len(self.functions) // 10) - 1]

    @property
    def long_modules(self) -> dict[str, int]:
        return {name: lines for name, lines in self.modules.items() if lines > LONG_MODULE}

    def __str__(self) -> str:
        long = sum(lines > NINE_IN_TEN for lines in self.functions)
        return (
            f"{len(self.functions)} functions: median {self.median:g} lines, nine in ten at most "
            f"{self.nine_in_ten}, {long / len(self.functions):.1%} over {NINE_IN_TEN}; "
            f"{len(self.modules)} modules: the longest {max(self.modules.values())} lines, "
            f"{len(self.long_modules)} over {LONG_MODULE}; {len(self.circles)} in circles; "
            f"{len(self.wrong_arrows)} arrows the wrong way"
        )


def functions(path: Path) -> Iterator[int]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.end_lineno - node.lineno + 1


def circles(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return what stands in a circle or leads into one, with what it imports there."""
    left = dict(edges)
    while free := {name for name in left if not left[name] & left.keys()}:
        left = {name: left[name] for name in left if name not in free}
    return {name: left[name] & left.keys() for name in left}


def wrong_arrows(package: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in modules(package)
        for name, line in imports(path)
        if leads_outside(package, name) or leads_up(path, name)
    ]


def leads_outside(package: str, name: str) -> bool:
    target = name.split(".", maxsplit=1)[0]
    return target in MAY_IMPORT and target != package and target not in MAY_IMPORT[package]


def leads_up(path: Path, name: str) -> bool:
    here = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
    there = room(name)
    if here in (None, "__init__") or there in (None, here):
        return False
    return CORE.index(there) > CORE.index(here)


def measured(package: str) -> Measures:
    found = modules(package)
    return Measures(
        functions=list(chain.from_iterable(map(functions, found))),
        modules={str(it.relative_to(ROOT)): len(it.read_text().splitlines()) for it in found},
        circles=circles(graph(package)),
        wrong_arrows=wrong_arrows(package),
    )


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_the_house_keeps_its_measures(package):
    found = measured(package)
    print(f"\n{package}: {found}")  # noqa: T201 - for those who want to know how it stands
    assert found.median <= MEDIAN
    assert found.nine_in_ten <= NINE_IN_TEN
    assert found.long_modules == {}
    assert found.circles == {}
    assert found.wrong_arrows == []


def test_a_circle_is_found_with_those_that_lead_into_it():
    edges = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}
    assert circles(edges) == {"a": {"b"}, "b": {"c"}, "c": {"b"}}
    assert circles({"a": {"b"}, "b": set()}) == {}


def test_a_tenth_of_the_functions_may_be_long():
    def of(*lengths: int) -> Measures:
        return Measures(list(lengths), {"one": 1}, {}, [])

    assert of(*[5] * 9, 300).nine_in_ten == 5
    assert of(*[5] * 8, 300, 300).nine_in_ten == 300


def test_arrows_that_run_the_wrong_way_are_told():
    serving, errors = ROOT / "orac_core/serving/door.py", ROOT / "orac_core/errors.py"
    assert leads_up(errors, "orac_core.plugins")
    assert not leads_up(serving, "orac_core.plugins")
    assert leads_outside("orac_server", "orac_backends.ollama")
    assert not leads_outside("orac_server", "orac_core.plugins")
