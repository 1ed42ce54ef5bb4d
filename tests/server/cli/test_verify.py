"""``orac verify``: every file is read whole, and said to be what it should be or not."""

import hashlib
import json
import os
import signal
import subprocess
import tempfile
import time
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from orac_core import StateDirectory
from orac_core.files.ledger import Ledger, key_of
from orac_server.cli import main
from tests.processes import ORAC, start
from tests.server.test_bad_files import AS_A_USER
from tests.tiny_models import write

ZEROS = "0" * 64


@pytest.fixture(autouse=True)
def folder(models, monkeypatch):
    monkeypatch.setenv("ORAC_MODELS_DIR", str(models))
    return models


def verify(*arguments):
    return CliRunner().invoke(main, ["verify", *map(str, arguments)])


def facts(*arguments):
    done = verify(*arguments, "--json")
    return json.loads(done.stdout), done.exit_code


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest(alone, checksums, **more):
    files = {name: {"checksum": checksum} for name, checksum in checksums.items()}
    path = alone / "configs" / "llm_models.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"models": {"files": files}, **more}))


def rot(path):
    found = path.stat()
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7f")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def test_good_files_are_said_to_be_as_sha256sum_says_it(alone, folder):
    path = write(folder, "tiny-phi2")
    manifest(alone, {"tiny-phi2": f"sha256:{sha256(path)}"})
    (alone / "sums").write_text(f"{sha256(path)}  {path}\n")
    theirs = subprocess.run(
        ["sha256sum", "-c", alone / "sums"], capture_output=True, text=True, check=False
    )
    done = verify()
    assert (done.stdout, done.stderr, done.exit_code) == (theirs.stdout, "", 0)


def test_a_wrong_checksum_is_failed_with_both_and_counted(alone, folder):
    path = write(folder, "tiny-phi2")
    write(folder, "tiny-phi2", stem="good")
    manifest(alone, {"tiny-phi2": f"sha256:{ZEROS}"})
    done = verify()
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [f"{folder / 'good.gguf'}: OK", f"{path}: FAILED"]
    assert f"expected 00000000…, found {sha256(path)[:8]}…" in done.stderr
    assert done.stderr.splitlines()[-1] == "orac: WARNING: 1 of 2 models did NOT match"


@pytest.mark.parametrize("algorithm", ["sha1", "md5"])
def test_the_algorithm_is_that_of_the_manifest(alone, folder, algorithm):
    path = write(folder, "tiny-phi2")
    right = f"{algorithm}:{hashlib.new(algorithm, path.read_bytes()).hexdigest()}"
    manifest(alone, {"tiny-phi2": right})
    found, code = facts()
    assert code == 0
    assert found["models"][0]["checksum"] == found["models"][0]["found"] == right


def test_the_lines_for_the_manifest_hold_when_they_are_put_there(alone, folder):
    write(folder, "tiny-phi2", stem='odd "name"')
    write(folder, "tiny-pythia")
    done = verify()
    assert done.exit_code == 0
    _, lines = done.stderr.split("\n", 1)
    assert len(tomllib.loads(lines)["models"]["files"]) == 2
    (alone / "orac.toml").write_text(lines)
    again = verify()
    assert (again.exit_code, again.stderr) == (0, "")


def test_a_file_that_is_cut_is_failed_without_a_checksum(folder):
    path = write(folder, "tiny-phi2")
    path.write_bytes(path.read_bytes()[:-9])
    done = verify()
    assert (done.stdout, done.exit_code) == (f"{path}: FAILED\n", 1)
    assert "truncated" in done.stderr


def test_it_really_reads_whatever_is_remembered(folder):
    path = write(folder, "tiny-phi2")
    assert facts()[1] == 0
    before = sha256(path)
    rot(path)
    found, code = facts()
    assert code == 1
    assert found["models"][0]["outcome"] == "failed"
    assert found["models"][0]["found"] == f"sha256:{sha256(path)}"
    assert f"expected {before[:8]}…" in found["models"][0]["problem"]
    assert "the storage may be failing" in verify().stderr


def test_what_it_read_is_remembered(alone, folder):
    path = write(folder, "tiny-phi2")
    verify()
    kept = Ledger(StateDirectory.of(os.environ))
    assert kept.state.path.is_relative_to(alone)
    assert kept.known(key_of([path], "sha256")) == sha256(path)


def test_a_split_model_is_one_line_and_a_missing_part_is_named(folder):
    write(folder, "tiny-qwen3-0.6b", stem="m", parts=3)
    first = folder / "m-00001-of-00003.gguf"
    assert verify().stdout == f"{first}: OK\n"
    (folder / "m-00002-of-00003.gguf").unlink()
    done = verify("m")
    assert done.stdout == f"{first}: FAILED\n"
    assert "part 2 of 3 is missing" in done.stderr


def test_models_are_named_as_everywhere(alone, folder):
    path = write(folder, "tiny-phi2")
    write(folder, "tiny-pythia")
    profiles = {"default": {"models": {"general": "tiny-phi2"}}}
    manifest(alone, {}, profiles=profiles)
    for name in ("tiny-phi2", "tiny-phi2.gguf", "local/tiny-phi2", "general"):
        assert verify(name).stdout == f"{path}: OK\n"
    assert verify("tiny-phi2", "general").stdout == f"{path}: OK\n"


def test_a_name_that_nothing_has_fails_and_stops_no_other(folder):
    write(folder, "tiny-phi2")
    found, code = facts("none", "tiny-phi2")
    assert code == 1
    assert found["unknown"] == ["none"]
    assert [each["outcome"] for each in found["models"]] == ["ok"]
    assert "model 'none' not found" in verify("none").stderr


def test_without_any_file_it_says_where_to_look_and_is_well():
    done = verify()
    assert (done.stdout, done.exit_code) == ("", 0)
    assert "orac doctor" in done.stderr


def test_a_wrong_manifest_is_an_error_with_its_place(alone):
    (alone / "orac.toml").write_text("[models]\nscrub = 3\n")
    done = verify()
    assert done.exit_code == 1
    assert "models.scrub" in done.stderr


def test_a_state_directory_that_can_not_be_used_is_said_and_fails_nothing(folder, monkeypatch):
    write(folder, "tiny-phi2")
    monkeypatch.setenv("ORAC_STATE_DIR", "/dev/null")
    done = verify()
    assert done.exit_code == 0
    assert "/dev/null can not be used: it is no folder" in done.stderr


def test_a_file_that_may_not_be_read_is_failed_open_or_read():
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        path = write(Path(name), "tiny-phi2")
        path.chmod(0)
        environ = {**os.environ, "ORAC_MODELS_DIR": name}
        done = subprocess.run(
            [*AS_A_USER, ORAC, "verify"], env=environ, capture_output=True, text=True, check=False
        )
        assert (done.stdout, done.returncode) == (f"{path}: FAILED open or read\n", 1)
        assert "permission denied" in done.stderr
        assert "1 of 1 models could not be read" in done.stderr


def test_ctrl_c_ends_it_soon_however_large_the_file_is(folder):
    path = write(folder, "tiny-phi2")
    os.truncate(path, 64 << 30)  # a hole, which takes no room and a minute to hash
    process = start("verify")
    with process:
        until_open(process.pid, path)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (130, "", "orac: interrupted\n")


def until_open(pid, path):
    """Return when a process has the file open."""
    ends_at = time.monotonic() + 20
    while path not in opened_by(pid):
        assert time.monotonic() < ends_at


def opened_by(pid):
    try:
        return [link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return []
