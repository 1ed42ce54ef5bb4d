"""The systemd unit."""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from orac_core import StateDirectory
from tests.packaging.dockerfile import ROOT
from tests.processes import ended, first_line

UNIT = ROOT / "packaging/systemd/orac.service"
ENVIRONMENT = ROOT / "packaging/systemd/orac.env"
ANALYZE = shutil.which("systemd-analyze")
TARGETS = ("basic", "multi-user", "network", "network-online", "shutdown", "sysinit")

analyzes = pytest.mark.skipif(ANALYZE is None, reason="needs systemd-analyze: apt install systemd")


class Unit(configparser.ConfigParser):
    """A unit, whose keys are told apart by case."""

    def optionxform(self, optionstr):
        return optionstr


@pytest.fixture
def unit():
    parser = Unit(interpolation=None, strict=True)
    parser.read_string(UNIT.read_text())
    return parser


@pytest.fixture
def root(tmp_path):
    """A machine with nothing but the service."""
    units = tmp_path / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    for name in TARGETS:
        (units / f"{name}.target").write_text(f"[Unit]\nDescription={name}\n")
    program = tmp_path / "opt/orac/bin/orac"
    program.parent.mkdir(parents=True)
    shutil.copy("/bin/true", program)
    shutil.copy(UNIT, units)
    return tmp_path


def verify(root: Path) -> subprocess.CompletedProcess[str]:
    return analyze("verify", "--man=no", f"--root={root}", UNIT.name)


def analyze(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ANALYZE), *map(str, words)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@analyzes
def test_systemd_finds_no_fault_in_it(root):
    done = verify(root)
    assert (done.returncode, done.stderr) == (0, "")


@analyzes
def test_systemd_would_notice_a_wrong_key(root):
    path = root / "usr/lib/systemd/system" / UNIT.name
    path.write_text(path.read_text().replace("KillMode=", "KillMod="))
    assert "KillMod" in verify(root).stderr


@analyzes
def test_systemd_calls_it_little_exposed():
    done = analyze("security", "--offline=yes", "--threshold=25", UNIT)
    assert done.returncode == 0, done.stdout[-200:]


def test_it_runs_as_a_user_of_its_own_in_the_groups_of_the_gpu(unit):
    service = unit["Service"]
    assert service["User"] == service["Group"] == service["StateDirectory"] == "orac"
    assert service["SupplementaryGroups"].split() == ["video", "render"]


def test_nothing_hides_the_gpu_from_it(unit):
    hiding = {"PrivateDevices", "ProtectClock", "DevicePolicy", "DeviceAllow"}
    assert not hiding & set(unit["Service"])
    assert "MemoryDenyWriteExecute" not in unit["Service"]


def test_stopping_leaves_more_time_than_running_answers_get(unit):
    assert int(unit["Service"]["TimeoutStopSec"]) >= 60
    assert unit["Service"]["KillMode"] == "mixed"


def test_an_engine_that_runs_out_of_memory_does_not_take_the_service_down(unit):
    assert unit["Service"]["OOMPolicy"] == "continue"


def test_the_environment_file_that_it_names_is_the_one_that_is_shipped(unit):
    assert unit["Service"]["EnvironmentFile"] == f"-/etc/orac/{ENVIRONMENT.name}"


def test_the_environment_file_sets_nothing_until_somebody_does():
    for line in ENVIRONMENT.read_text().splitlines():
        assert re.match(r"# |#[A-Z_]+=|$", line)


def test_what_it_starts_is_alive_and_ends_well(unit, tmp_path):
    program, *words = unit["Service"]["ExecStart"].split()
    assert (program, words) == ("/opt/orac/bin/orac", ["serve"])
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    orac = Path(sys.executable).with_name("orac")
    process = subprocess.Popen(
        [orac, *words, "--port", "0", "--json"],
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert urlsplit(json.loads(first_line(process))["url"]).hostname == "127.0.0.1"
    finally:
        ended(process)
    assert process.returncode == 0


def test_what_orac_keeps_over_a_restart_is_in_the_folder_of_the_state(unit):
    given = {"STATE_DIRECTORY": f"/var/lib/{unit['Service']['StateDirectory']}", "HOME": "/x"}
    assert StateDirectory.of(given).path == Path(unit["Service"]["WorkingDirectory"])
