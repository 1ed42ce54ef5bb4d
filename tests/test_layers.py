"""The arrows of the house: which package and which module may import which."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import orac_core

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {"orac_core": set(), "orac_backends": {"orac_core"}, "orac_server": {"orac_core"}}
ONLY_IN = {
    "httpx": {"orac_backends/_http.py"},
    "opentelemetry": {"orac_server/observing/spans.py"},
    "prometheus_client": {
        "orac_server/observing/exposition.py",
    },
    "jtop": {"orac_core/devices/jetson.py"},
    "pynvml": {"orac_core/devices/nvidia.py"},
    "ray": {
        "orac_backends/_ray/admission.py",
        "orac_backends/_ray/asking.py",
        "orac_backends/_ray/bridge.py",
        "orac_backends/_ray/cluster.py",
    },
    "torch": {"orac_backends/_transformers/model.py"},
    "transformers": {
        "orac_backends/_transformers/answer.py",
        "orac_backends/_transformers/model.py",
    },
    "xllamacpp": {"orac_backends/llamacpp/worker.py"},
}
CORE = (
    *(
        "alarm",
        "durations",
        "outage",
        "errors",
        "shape",
        "conversation",
        "ranges",
        "types",
        "state_directory",
        "files",
        "states",
        "statistics",
    ),
    *("events", "blackbox", "devices", "memory", "pace", "doctor", "manifest", "registry", "kinds"),
    *("hook_version", "hookspecs", "plugins", "health", "provision", "serving", "benchmark"),
    "testing",
)
"""The rooms of the core, each importing only those before it."""


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, package
    return found


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the dotted name of every import in the file, relative ones made absolute."""
    here = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(here[: len(here) - node.level]) if node.level else []
            start = ".".join(base + ([node.module] if node.module else []))
            yield from ((f"{start}.{alias.name}", node.lineno) for alias in node.names)


EVERY_MODULE = [path for package in MAY_IMPORT for path in modules(package)]


@pytest.mark.parametrize("path", EVERY_MODULE, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_between_packages_run_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    for name, line in imports(path):
        target = name.split(".")[0]
        if target in MAY_IMPORT and target != package:
            assert target in MAY_IMPORT[package], f"{path}:{line} imports {name}"


@pytest.mark.parametrize("path", EVERY_MODULE, ids=lambda path: str(path.relative_to(ROOT)))
def test_some_libraries_are_imported_in_one_place_only(path):
    place = str(path.relative_to(ROOT))
    for name, line in imports(path):
        allowed = ONLY_IN.get(name.split(".")[0])
        assert allowed is None or place in allowed, f"{path}:{line} imports {name}"


def test_the_core_knows_no_http_library():
    for path in modules("orac_core"):
        for name, line in imports(path):
            assert name.split(".")[0] not in {"aiohttp", "httpx"}, f"{path}:{line} imports {name}"


def test_backends_and_server_use_only_what_the_core_exports():
    for path in modules("orac_backends"):
        for name, line in imports(path):
            package, _, rest = name.partition(".")
            if package == "orac_core":
                assert rest in orac_core.__all__, f"{path}:{line} imports {name}"


def room(name: str) -> str | None:
    parts = name.split(".")
    return parts[1] if parts[0] == "orac_core" and len(parts) > 1 else None


def test_every_room_of_the_core_is_in_the_table():
    rooms = {path.relative_to(ROOT / "orac_core").parts[0] for path in modules("orac_core")}
    assert {name.removesuffix(".py") for name in rooms} - {"__init__"} == set(CORE)


def test_a_room_of_the_core_imports_only_rooms_before_it():
    for path in modules("orac_core"):
        here = path.relative_to(ROOT / "orac_core").with_suffix("").parts[0]
        if here == "__init__":
            continue
        for name, line in imports(path):
            there = room(name)
            if there is not None and there != here:
                assert CORE.index(there) < CORE.index(here), f"{path}:{line} imports {name}"


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_no_module_imports_itself_by_a_detour(package):
    edges = graph(package)
    order: list[str] = []
    while free := [name for name in edges if name not in order and edges[name] <= set(order)]:
        order.extend(free)
    assert set(edges) - set(order) == set(), "these stand in a circle, or import one that does"


def graph(package: str) -> dict[str, set[str]]:
    """Return, for each module, the modules of the same package that it imports."""
    names = {dotted(path): path for path in modules(package)}
    return {
        name: {
            target
            for imported, _ in imports(path)
            for target in (imported, imported.rpartition(".")[0])
            if target in names and target != name and not is_parent(target, name)
        }
        for name, path in names.items()
    }


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def is_parent(package: str, module: str) -> bool:
    """A package is loaded before its modules; that alone is no arrow."""
    return module.startswith(f"{package}.")


def test_importing_the_library_loads_no_http_and_no_numpy():
    code = (
        "import sys, orac_core; "
        "print(*({'aiohttp', 'httpx', 'numpy', 'rich', 'click', 'xllamacpp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_measuring_and_diagnosing_load_no_numpy_and_no_scipy():
    code = (
        "import sys, pkgutil, importlib, orac_core.benchmark, orac_core.doctor; "
        "rooms = [orac_core.benchmark, orac_core.doctor]; "
        "[importlib.import_module(it.name) for room in rooms "
        "for it in pkgutil.walk_packages(room.__path__, room.__name__ + '.')]; "
        "print(*({'numpy', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_every_public_name_has_a_docstring(package):
    lacking = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in modules(package)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert lacking == []


def test_what_the_library_exports_is_there_and_sorted():
    assert orac_core.__all__ == sorted(orac_core.__all__)
    for name in orac_core.__all__:
        assert getattr(orac_core, name) is not None
