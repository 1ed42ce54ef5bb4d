import click
import pytest
from click.testing import CliRunner

from orac_server.cli.options import shown, url_option


@click.command()
@url_option
def echo_url(url):
    click.echo(url)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://robot.local:9000/", "http://robot.local:9000"),
        ("https://robot/orac/", "https://robot/orac"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_an_address_is_taken_without_the_slash_at_its_end(given, used):
    assert CliRunner().invoke(echo_url, ["--url", given]).output == f"{used}\n"


@pytest.mark.parametrize(
    "given",
    ["robot", "127.0.0.1:8000", "ftp://robot", "http://", "http://robot:99999", "http://[::1", ""],
)
def test_what_is_no_address_is_a_usage_error(given):
    done = CliRunner().invoke(echo_url, ["--url", given])
    assert done.exit_code == 2
    assert "is no address such as http://127.0.0.1:8000" in " ".join(done.stderr.split())


def test_the_address_may_come_from_the_environment():
    done = CliRunner().invoke(echo_url, env={"ORAC_URL": "http://robot:9"})
    assert done.output == "http://robot:9\n"


def test_an_empty_variable_counts_as_none():
    done = CliRunner().invoke(echo_url, env={"ORAC_URL": ""})
    assert done.output == "http://127.0.0.1:8000\n"


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("http://ann:secret@robot:8000/x@y", "http://robot:8000/x@y"),
        ("http://robot:8000", "http://robot:8000"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_password_in_an_address_is_never_shown(url, seen):
    assert shown(url) == seen
