"""docs/reference/cli.md says what the commands say of themselves: no more and no less."""

import re
from pathlib import Path

import click
import pytest

from orac_server.cli import group, main

PAGE = (Path(__file__).parents[3] / "docs/reference/cli.md").read_text(encoding="utf-8")
SECTIONS = dict(
    re.findall(r"^## orac ([a-z]+)$(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
)


def test_every_command_has_its_section_in_the_order_of_the_help():
    assert list(SECTIONS) == list(group.COMMANDS)


@pytest.mark.parametrize("name", group.COMMANDS)
def test_the_table_of_a_command_has_its_options_and_no_others(name):
    documented = re.findall(r"^\| (`-.*?) \| ", SECTIONS[name], flags=re.MULTILINE)
    named = {option for cell in documented for option in re.findall(r"`(--[a-z-]+)", cell)}
    assert named == options(name)


@pytest.mark.parametrize("name", group.COMMANDS)
def test_the_usage_at_the_top_is_that_of_the_command(name):
    context = click.Context(command(name), info_name=f"orac {name}")
    usage = " ".join(command(name).collect_usage_pieces(context))
    assert f"\norac {name} {usage}\n" in PAGE


def command(name):
    found = main.get_command(click.Context(main), name)
    assert found is not None
    return found


def options(name):
    declared = [each for each in command(name).params if isinstance(each, click.Option)]
    return {text for each in declared for text in (*each.opts, *each.secondary_opts)}
