import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from orac_server.cli import group, main

HEAVY = {"aiohttp", "httpx", "rich", "asyncio", "cattrs", "orac_core", "numpy", "xllamacpp"}


def command(name):
    found = main.get_command(click.Context(main), name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", group.COMMANDS)
def test_every_command_in_the_table_is_there_and_has_a_help_of_its_own(name):
    assert command(name).name == name
    assert command(name).help


@pytest.mark.parametrize("name", group.COMMANDS)
def test_every_option_of_every_command_is_explained(name):
    options = [each for each in command(name).params if isinstance(each, click.Option)]
    assert [each.name for each in options if not each.help] == []


@pytest.mark.parametrize("name", sorted(set(group.COMMANDS) - {"serve"}))
def test_every_command_that_prints_data_prints_json_too(name):
    assert "in_json" in {each.name for each in command(name).params}


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"], []])
def test_help_and_version_load_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from orac_server.cli import main\n"
        "try:\n    main(prog_name='orac')\n"
        "except SystemExit:\n    print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert "orac" in done.stdout + done.stderr
    assert HEAVY & set(done.stderr.split()) == set()


def test_the_version_is_that_of_the_package():
    assert CliRunner().invoke(main, ["--version"]).output.startswith("orac 0.")


@pytest.mark.parametrize("arguments", [["frobnicate"], ["list", "--nonsense"], ["load"]])
def test_a_wrong_command_line_is_a_usage_error(arguments):
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert "Usage:" in done.stderr
    assert done.stdout == ""


def test_ctrl_c_ends_any_command_with_130(monkeypatch):
    @click.command()
    def stuck():
        raise KeyboardInterrupt

    monkeypatch.setattr(group.Orac, "get_command", lambda *_: stuck)
    done = CliRunner().invoke(main, ["list"])
    assert done.exit_code == 130
    assert done.stderr == "orac: interrupted\n"
