import mmap
import os

import pytest

from orac_core.files.residency import give_back, resident_ratio

PAGES = 64


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some"
    with path.open("wb") as out:
        out.write(b"x" * PAGES * mmap.PAGESIZE)
        os.fsync(out.fileno())
    return path


def test_what_was_just_read_is_in_the_cache(file):
    file.read_bytes()
    assert resident_ratio([file]) == 1.0


def test_what_was_given_back_has_to_be_read_from_the_disk_again(file):
    give_back([file])
    if resident_ratio([file]) == 1.0:
        pytest.skip("a file system in memory has nothing to give back to")
    assert resident_ratio([file]) == 0.0
    with file.open("rb") as read:
        os.posix_fadvise(read.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # nothing is read ahead
        os.pread(read.fileno(), 1, 0)
    assert resident_ratio([file]) == pytest.approx(1 / PAGES)


def test_the_share_is_that_of_all_files(file, tmp_path):
    twin = tmp_path / "twin"
    twin.write_bytes(file.read_bytes())
    assert resident_ratio([file, twin]) == 1.0


@pytest.mark.parametrize("content", [None, b""])
def test_a_file_that_is_not_there_or_empty_has_no_share(tmp_path, content):
    path = tmp_path / "none"
    if content is not None:
        path.write_bytes(content)
    assert resident_ratio([path]) is None
    assert resident_ratio([]) is None
    give_back([path])


def test_of_a_file_that_is_somebody_elses_the_kernel_does_not_tell(file, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert resident_ratio([file]) is None
