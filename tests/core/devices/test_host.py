"""Which machine it is, without telling whose."""

import getpass
import json
import platform
import socket
import sys

import pytest

from orac_core.devices import Gpu, Machine, Sensors, fingerprint
from orac_core.devices.host import container
from tests.core.devices.boards import DESCRIBED, build, described


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch):
    for name in ("jtop", "pynvml"):
        monkeypatch.setitem(sys.modules, name, None)


async def of(root, board):
    build(root, described(board)["files"])
    async with Sensors(root, 5.0) as sensors:
        return fingerprint(await sensors.look(), root, {})


async def test_an_orin_nano_is_known_by_its_board_and_its_settings(tmp_path):
    found = await of(tmp_path, "orin-nano")
    assert found["board"] == "NVIDIA Jetson Orin Nano Developer Kit"
    assert (found["jetpack"], found["power_mode"]) == ("L4T 36.4.3", "25W")
    assert (found["cpu"], found["cores"]) == ("arm,cortex-a78", 2)
    assert found["kernel"] == "5.15.148-tegra"
    assert found["unified_memory"] is True
    assert found["container"] is None


async def test_a_laptop_is_known_by_its_cpu(tmp_path):
    found = await of(tmp_path, "laptop")
    assert (found["cpu"], found["cores"]) == ("Some CPU (TM) i7 @ 2.80GHz", 2)
    assert (found["board"], found["gpu"]) == (None, None)


async def test_an_arm_without_a_name_has_that_of_its_design(tmp_path):
    assert (await of(tmp_path, "thor"))["cpu"] == "0x41 0xd83"


@pytest.mark.parametrize("board", DESCRIBED)
async def test_it_is_plain_json_in_the_same_order_and_the_same_each_time(tmp_path, board):
    first, second = await of(tmp_path, board), await of(tmp_path, board)
    assert json.dumps(first) == json.dumps(second)
    assert list(first) == list(fingerprint(Machine(), tmp_path / "nothing", {}))


async def test_neither_the_name_of_this_machine_nor_of_its_user_is_in_it():
    async with Sensors() as sensors:
        found = fingerprint(await sensors.look())
    texts = {each for each in found.values() if isinstance(each, str)}
    assert texts.isdisjoint({socket.gethostname(), getpass.getuser(), platform.node()})


def test_versions_of_driver_and_cuda_are_those_of_the_gpu(tmp_path):
    machine = Machine(gpu=Gpu("NVIDIA Thor", cuda="13.0", driver="580.1"))
    found = fingerprint(machine, tmp_path, {})
    assert (found["gpu"], found["cuda"], found["driver"]) == ("NVIDIA Thor", "13.0", "580.1")
    assert found["python"] == platform.python_version()
    assert found["orac"]


@pytest.mark.parametrize(
    ("files", "environ", "kind"),
    [
        ({}, {}, None),
        ({".dockerenv": ""}, {}, "docker"),
        ({"run/.containerenv": ""}, {}, "podman"),
        ({"run/.containerenv": ""}, {"container": "podman"}, "podman"),
        ({}, {"container": "lxc"}, "lxc"),
        ({".dockerenv": ""}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "kubernetes"),
        ({"proc/self/cgroup": "4:memory:/docker/0123\n"}, {}, "docker"),
        ({"proc/self/cgroup": "0::/kubepods.slice/docker-1.scope\n"}, {}, "kubernetes"),
        ({"proc/self/cgroup": "0::/user.slice/libpod-1.scope\n"}, {}, "podman"),
        ({"proc/self/cgroup": "0::/system.slice/orac.service\n"}, {}, None),
    ],
)
def test_a_container_is_known_by_its_traces(tmp_path, files, environ, kind):
    assert container(build(tmp_path, files), environ) == kind
