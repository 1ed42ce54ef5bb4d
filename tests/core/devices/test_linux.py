"""What the kernel of each board says, and silence where it says nothing."""

import os

import pytest

from orac_core.devices import Device, Gpu, Memory, groups, linux
from orac_core.devices.meminfo import meminfo
from orac_core.devices.nodes import Nodes
from orac_core.devices.values import Reading
from tests.core.devices import boards
from tests.core.devices.boards import build

KB = 1024
PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def orin_nano(tmp_path):
    return build(tmp_path, boards.ORIN_NANO)


def test_an_orin_nano_tells_its_memory(orin_nano):
    assert linux.changing(orin_nano).memory == Memory(
        total_bytes=7_802_000 * KB,
        available_bytes=5_000_000 * KB,
        free_bytes=700_000 * KB,
        page_cache_bytes=4_210_000 * KB,
        swap_total_bytes=3_900_000 * KB,
        swap_free_bytes=1_950_000 * KB,
        swapped_in_bytes=10 * PAGE,
        swapped_out_bytes=20 * PAGE,
    )


def test_an_orin_nano_tells_its_gpu(orin_nano):
    assert linux.changing(orin_nano).gpu == Gpu(
        name="gpu", memory_used_bytes=1 << 30, load_ratio=0.873, frequency_hz=918_000_000
    )


def test_an_orin_nano_tells_its_state(orin_nano):
    assert linux.changing(orin_nano).device == Device(
        power_mode="MAXN_SUPER",
        temperatures={"cpu": 48.5, "gpu": 49.031, "cv0": None, "tj": None},
        throttling=False,
    )


def test_an_orin_nano_tells_what_it_is(orin_nano):
    fixed = linux.fixed(orin_nano)
    assert fixed.memory.unified is True
    assert fixed.device == Device(
        board="NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
        jetpack="L4T 36.4.3",
    )


def test_p76_a_sensor_at_minus_256_is_none(orin_nano):
    assert linux.changing(orin_nano).device.temperatures["tj"] is None


def test_an_agx_orin_is_throttled_and_has_a_mode_without_a_name(tmp_path):
    device = linux.changing(build(tmp_path, boards.AGX_ORIN)).device
    assert device == Device(
        power_mode="mode 3", temperatures={"CPU": 91.25, "GPU": 97.0}, throttling=True
    )


def test_a_thor_tells_the_clock_of_its_gpu_and_no_load(tmp_path):
    reading = linux.changing(build(tmp_path, boards.THOR))
    assert reading.gpu == Gpu(name="gpu", frequency_hz=1_575_000_000)
    assert reading.device == Device(temperatures={"tj": 45.0})


def test_a_desktop_is_no_board_and_may_have_two_zones_of_one_name(tmp_path):
    root = build(tmp_path, boards.DESKTOP)
    assert linux.fixed(root).device == Device()
    assert linux.fixed(root).memory.unified is None
    assert linux.changing(root).gpu == Gpu()
    assert linux.changing(root).device == Device(
        temperatures={"acpitz": 27.8, "x86-pkg-temp": 55.0, "acpitz 2": 16.8}
    )


def test_a_machine_without_proc_and_sys_says_nothing(tmp_path):
    assert (linux.fixed(tmp_path), linux.changing(tmp_path)) == (Reading(), Reading())


@pytest.mark.parametrize(
    ("board", "limit"),
    [("Orin Nano", None), ("AGX Orin", 2 << 30), ("container", 2 << 30), ("desktop", None)],
)
def test_the_limit_is_the_least_of_all_groups_around_the_process(tmp_path, board, limit):
    assert groups.limit(build(tmp_path, boards.ALL[board])) == limit


def test_a_limit_of_the_only_group_there_is_counts(tmp_path):
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1073741824\n"}
    assert groups.limit(build(tmp_path, files)) == 1 << 30


def test_what_is_left_of_a_limit_counts_the_files_that_the_kernel_gives_back(tmp_path):
    group = "sys/fs/cgroup/"
    files = {
        "proc/self/cgroup": "0::/\n",
        group + "memory.max": "1000\n",
        group + "memory.current": "700\n",
        group + "memory.stat": "anon 400\ninactive_file 150\nactive_file 50\nfile 300\n",
    }
    assert groups.left(build(tmp_path, files)) == 500


def test_the_totals_of_a_group_of_the_first_kind_count_once(tmp_path):
    group = "sys/fs/cgroup/memory/"
    files = {
        "proc/self/cgroup": "4:memory:/\n",
        group + "memory.limit_in_bytes": "1000\n",
        group + "memory.usage_in_bytes": "900\n",
        group + "memory.stat": "inactive_file 10\ntotal_inactive_file 100\ntotal_active_file 7\n",
    }
    assert groups.left(build(tmp_path, files)) == 207


def test_a_group_that_does_not_say_what_it_uses_leaves_nothing_known(tmp_path):
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1000\n"}
    assert groups.left(build(tmp_path, files)) is None


def test_what_stands_for_no_limit_is_none(tmp_path):
    path = "sys/fs/cgroup/memory/memory.limit_in_bytes"
    root = build(tmp_path, {"proc/self/cgroup": "4:memory:/\n", path: "9223372036854771712\n"})
    assert groups.limit(root) is None


def test_a_limit_above_all_memory_is_none(tmp_path):
    files = {**boards.CONTAINER, "proc/meminfo": boards.meminfo(1000, 900, 800, 700)}
    assert linux.changing(build(tmp_path, files)).memory.limit_bytes is None


def test_a_part_that_is_more_than_the_whole_is_none(tmp_path):
    info = boards.meminfo(1000, 2000, 3000, 4000, 8)
    memory = linux.changing(build(tmp_path, {"proc/meminfo": info})).memory
    assert memory == Memory(total_bytes=1000 * KB, swap_total_bytes=8 * KB, swap_free_bytes=4 * KB)


def test_a_release_that_is_written_otherwise_is_told_as_it_is(tmp_path):
    root = build(tmp_path, {"etc/nv_tegra_release": "# R99 something new\nmore"})
    assert linux.fixed(root).device.jetpack == "# R99 something new"


def test_no_more_is_read_of_a_file_than_it_may_have(tmp_path):
    endless = b" " * (1 << 20) + b"\nMemTotal: 1000 kB\n"
    assert meminfo(build(tmp_path, {"proc/meminfo": endless}), Nodes()) == {}


def test_a_folder_in_place_of_a_file_is_no_answer(tmp_path):
    root = build(tmp_path, {"proc/meminfo/x": "", "proc/device-tree/model/x": ""})
    assert linux.fixed(root).device == Device()
    assert meminfo(root, Nodes()) == {}
