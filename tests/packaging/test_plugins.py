"""The plugins under examples/, as wheels in a fresh environment beside ORAC's own wheel."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import uv
from attrs import frozen

from tests.docs.test_docs import ROOT, check_commands, of_page

PLUGINS = {
    "orac-backend-phrases": "phrases",
    "orac-wrapper-audit": "audit",
    "orac-wrapper-cache": "cache",
}
"""Name of each distribution, and of its entry point."""

SOURCES = [ROOT, *(ROOT / "examples/plugins" / name for name in PLUGINS)]

TWICE = """
import asyncio
import orac_core
from orac_core import Answer, GenerateOptions, GenerateRequest

async def main():
    options = GenerateOptions(temperature=0)
    request = GenerateRequest("phrases", prompt="hello", options=options)
    async with orac_core.open() as manager:
        for _ in range(2):
            async for item in manager.generate(request):
                if isinstance(item, Answer):
                    print(item.text, item.usage.cached_tokens)

asyncio.run(main())
"""


@frozen
class Fresh:
    """An environment of its own that sees what ORAC depends on, and nothing else of ORAC."""

    place: Path

    def environ(self, **more: str) -> dict[str, str]:
        """The variables of a shell in which it is activated."""
        return {
            **os.environ,
            "PATH": f"{self.place / 'bin'}:{os.environ['PATH']}",
            "ORAC_MANIFEST": str(self.place / "orac.toml"),
            "ORAC_STATE_DIR": str(self.place / "state"),
            "ORAC_AUDIT_FILE": str(self.place / "audit.jsonl"),
            "ORAC_URL": "http://127.0.0.1:1",
            **more,
        }

    def run(self, program: str, *arguments: object) -> str:
        words = [str(self.place / "bin" / program), *map(str, arguments)]
        return output(words, self.place, self.environ())

    def pip(self, verb: str, *arguments: object) -> None:
        python = self.place / "bin" / "python"
        words = [uv.find_uv_bin(), "pip", verb, "-q", "--offline", "--python", str(python)]
        output([*words, *map(str, arguments)], self.place, dict(os.environ))

    def plugins(self) -> dict[str, dict]:
        found = json.loads(self.run("orac", "plugins", "--json"))["plugins"]
        return {each["name"]: each for each in found}

    def files(self) -> set[str]:
        """The files of its site-packages, but for what Python compiles."""
        folder = sysconfig.get_path("purelib", vars={"base": str(self.place)})
        every = (path for path in Path(folder).rglob("*") if "__pycache__" not in path.parts)
        return {str(path.relative_to(folder)) for path in every}


def output(words, folder, environ):
    done = subprocess.run(
        words, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The wheels by name of their distribution, built side by side."""
    folder = tmp_path_factory.mktemp("wheels")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    builds = [subprocess.Popen(build, cwd=source, stdout=subprocess.DEVNULL) for source in SOURCES]
    assert [each.wait(120) for each in builds] == [0] * len(SOURCES)
    return {path.name.split("-")[0].replace("_", "-"): path for path in folder.glob("*.whl")}


@pytest.fixture(scope="module")
def fresh(wheels, tmp_path_factory):
    """An environment with ORAC's wheel alone."""
    place = tmp_path_factory.mktemp("fresh")
    words = [uv.find_uv_bin(), "venv", "-q", "--offline", "--python", sys.executable, str(place)]
    output([*words, "--allow-existing"], place, dict(os.environ))
    (place / "orac.toml").write_text(
        '[backends.calm]\nkind = "phrases"\nanswers = { hello = "Hello to you." }\n'
    )
    folder = Path(sysconfig.get_path("purelib", vars={"base": str(place)}))
    (folder / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    environment = Fresh(place)
    environment.pip("install", "--no-deps", wheels["orac"])
    return environment


@pytest.fixture(scope="module")
def bare(fresh):
    """What the environment has before any plugin is there: its plugins and its files."""
    return fresh.plugins(), fresh.files()


@pytest.fixture(scope="module")
def installed(fresh, bare, wheels):
    """The environment with the plugins too."""
    fresh.pip("install", "--no-deps", *(wheels[name] for name in PLUGINS))
    return fresh


def test_each_is_a_wheel_of_one_module_and_nothing_else(installed, bare):
    added = {name.split("/")[0] for name in installed.files() - bare[1]}
    modules = {f"{name.replace('-', '_')}" for name in PLUGINS}
    assert added == {f"{each}.py" for each in modules} | {
        f"{each}-0.1.0.dist-info" for each in modules
    }


def test_orac_of_the_wheel_is_what_runs(installed):
    where = installed.run("python", "-c", "import orac_core; print(orac_core.__file__)")
    assert where.startswith(str(installed.place))


def test_the_plugins_are_listed_with_what_they_do(installed):
    found = installed.plugins()
    assert {name: found[each]["distribution"] for name, each in PLUGINS.items()} == {
        name: name for name in PLUGINS
    }
    assert all(found[each]["problem"] is None for each in PLUGINS.values())
    assert [kind["name"] for kind in found["phrases"]["kinds"]] == ["phrases"]
    assert found["audit"]["wraps"] == ["load", "unload", "generate"]
    assert found["cache"]["wraps"] == ["models", "load", "generate"]


def test_the_backend_keeps_every_promise_inside_both_wrappers(installed):
    found = json.loads(installed.run("orac", "conformance", "phrases", "--json"))
    assert (found["kind"], found["broken"]) == ("phrases", 0)
    assert found["kept"] > 30


def test_a_prompt_goes_through_all_three(installed):
    answer = json.loads(installed.run("orac", "prompt", "phrases", "Hello?", "--json"))
    assert answer["response"] == "Hello to you."
    lines = (installed.place / "audit.jsonl").read_text()
    operations = [json.loads(line)["operation"] for line in lines.splitlines()]
    assert operations[0] == "load"
    assert "generate" in operations
    assert "Hello" not in lines


def test_a_question_that_is_asked_twice_is_answered_once_and_recorded_twice(installed, tmp_path):
    environ = installed.environ(ORAC_AUDIT_FILE=str(tmp_path / "audit.jsonl"))
    said = output([str(installed.place / "bin/python"), "-c", TWICE], tmp_path, environ)
    assert said.splitlines() == ["Hello to you. None", "Hello to you. 1"]
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    proof, *answers = [line for line in lines if line["operation"] == "generate"]
    assert (proof["completion_tokens"], len(answers)) == (1, 2)


@pytest.mark.parametrize("page", ["tutorial/first-backend", "how-to/wrap"])
def test_the_commands_print_what_the_pages_show(installed, page, tmp_path):
    page = ROOT / "docs" / f"{page}.md"
    shown = [block.text for block in of_page(page) if "[backends.calm]" in block.text]
    (tmp_path / "orac.toml").write_text("".join(shown[:1]))
    environ = installed.environ(ORAC_MANIFEST=str(tmp_path / "orac.toml"))
    check_commands(page, environ, tmp_path)


def test_an_uninstall_leaves_no_trace(installed, bare, wheels):
    installed.pip("uninstall", *PLUGINS)
    assert (installed.plugins(), installed.files()) == bare
    installed.pip("install", "--no-deps", *(wheels[name] for name in PLUGINS))
