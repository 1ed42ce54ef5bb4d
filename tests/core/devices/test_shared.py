"""What only the kernel knows of memory that a GPU shares."""

import pytest

from orac_core.devices import Shared, shared
from tests.core.devices import boards
from tests.core.devices.boards import build, meminfo

KB = 1024
STALLS = (
    "some avg10=12.50 avg60=3.00 avg300=0.00 total=123\n"
    "full avg10=2.25 avg60=0.00 avg300=0.00 total=45\n"
)
CLIENTS = (
    "CLIENT                        PROCESS      PID        SIZE\n"
    "user                       llama-server    1234    4194304K\n"
    "total                                              5242880K\n"
)


def test_contiguous_memory_the_gpus_share_and_stalls_are_told(tmp_path):
    info = meminfo(
        *(7_802_000, 5_000_000, 700_000, 4_200_000),
        CmaTotal=262_144,
        CmaFree=131_072,
        NvMapMemUsed=1_048_576,
        NvMapMemFree=4_096,
    )
    board = {
        "proc/meminfo": info,
        "proc/pressure/memory": STALLS,
        "sys/kernel/debug/nvmap/iovmm/clients": CLIENTS,
    }
    assert shared(build(tmp_path, board)) == Shared(
        *(262_144 * KB, 131_072 * KB, 1_048_576 * KB, 4_096 * KB, 5_242_880 * KB),
        waiting_ratio=0.125,
        stalled_ratio=0.0225,
    )


def test_where_the_kernel_says_nothing_nothing_is_known(tmp_path):
    assert shared(build(tmp_path, boards.BARE)) == Shared()


@pytest.mark.parametrize("said", ["", "some avg10=x", "some avg10=101.00 avg60", "full\n"])
def test_stalls_that_can_not_be_read_are_not_known(tmp_path, said):
    found = shared(build(tmp_path, {"proc/pressure/memory": said}))
    assert (found.waiting_ratio, found.stalled_ratio) == (None, None)


def test_a_part_that_is_more_than_the_whole_is_not_known(tmp_path):
    info = meminfo(1_000, 500, 500, 0, CmaTotal=2_000, CmaFree=1, NvMapMemUsed=3_000)
    found = shared(build(tmp_path, {"proc/meminfo": info}))
    assert (found.contiguous_bytes, found.contiguous_free_bytes, found.nvmap_bytes) == (None,) * 3
