"""Machines as trees of files, composed from the documented fields; none is a dump of a real one."""

import tomllib
from pathlib import Path
from typing import Any

Files = dict[str, str | bytes]

CGROUP_V2: Files = {"proc/self/cgroup": "0::/system.slice/orac.service\n"}


def meminfo(total: int, available: int, free: int, cached: int, swap: int = 0, **more: int) -> str:
    """Return /proc/meminfo with figures in kB."""
    figures = {
        "MemTotal": total,
        "MemFree": free,
        "MemAvailable": available,
        "Buffers": 20_000,
        "Cached": cached,
        "SwapCached": 0,
        "Active(file)": 1,
        "SwapTotal": swap,
        "SwapFree": swap // 2,
        "SReclaimable": 10_000,
        **more,
    }
    lines = [f"{name + ':':<16}{value:>8} kB" for name, value in figures.items()]
    return "\n".join([*lines, "HugePages_Total:       0", ""])


def zones(**temperatures: int | None) -> Files:
    """Return thermal zones with millidegrees; one that is None has a sensor without a reading."""
    files: Files = {}
    for number, (name, value) in enumerate(temperatures.items()):
        folder = f"sys/class/thermal/thermal_zone{number}"
        files[f"{folder}/type"] = f"{name.replace('_', '-')}\n"
        if value is not None:
            files[f"{folder}/temp"] = f"{value}\n"
    return files


def alerts(**states: int) -> Files:
    files: Files = {
        "sys/class/thermal/cooling_device0/type": "pwm-fan\n",
        "sys/class/thermal/cooling_device0/cur_state": "3\n",
    }
    for number, (name, state) in enumerate(states.items(), 1):
        folder = f"sys/class/thermal/cooling_device{number}"
        files[f"{folder}/type"] = f"{name.replace('_', '-')}-throttle-alert\n"
        files[f"{folder}/cur_state"] = f"{state}\n"
    return files


def devfreq(folder: str, name: str, load: int | None, hertz: int) -> Files:
    top = f"sys/class/devfreq/{folder}"
    files: Files = {f"{top}/cur_freq": f"{hertz}\n", f"{top}/device/of_node/name": f"{name}\0"}
    return files if load is None else {**files, f"{top}/device/load": f"{load}\n"}


def power_mode(now: int, *names: str) -> Files:
    modes = "".join(
        f"< POWER_MODEL ID={number} NAME={name} >\nCPU_ONLINE CORE_0 1\n"
        for number, name in enumerate(names)
    )
    return {
        "var/lib/nvpmodel/status": f"pmode:{now:04} fmode:fanNull\n",
        "etc/nvpmodel.conf": f"# comment\n{modes}< PM_CONFIG DEFAULT=0 >\n",
    }


def tegra(model: str, chip: str, release: str) -> Files:
    return {
        "proc/device-tree/model": f"{model}\0",
        "proc/device-tree/compatible": f"nvidia,p3768-0000\0nvidia,tegra{chip}\0",
        "etc/nv_tegra_release": f"{release}, GCID: 1, BOARD: generic, EABI: aarch64\n# KERNEL\n",
    }


ORIN_NANO: Files = {
    **tegra(
        "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
        "234",
        "# R36 (release), REVISION: 4.3",
    ),
    "proc/meminfo": meminfo(
        7_802_000, 5_000_000, 700_000, 4_200_000, 3_900_000, NvMapMemUsed=1_048_576
    ),
    "proc/vmstat": "nr_free_pages 1\npswpin 10\npswpout 20\npgpgin 5\n",
    **zones(cpu_thermal=48_500, gpu_thermal=49_031, cv0_thermal=None, tj_thermal=-256_000),
    **alerts(cpu=0, gpu=0),
    **devfreq("17000000.gpu", "gpu", 873, 918_000_000),
    **power_mode(2, "15W", "25W", "MAXN_SUPER"),
    **CGROUP_V2,
    "sys/fs/cgroup/system.slice/memory.max": "max\n",
    "sys/fs/cgroup/system.slice/orac.service/memory.max": "max\n",
}

AGX_ORIN: Files = {
    **tegra("Jetson AGX Orin Developer Kit", "234", "# R35 (release), REVISION: 4.1"),
    "proc/meminfo": meminfo(31_300_000, 25_000_000, 20_000_000, 5_000_000),
    **zones(CPU_therm=91_250, GPU_therm=97_000),
    **alerts(cpu=1, gpu=0),
    **devfreq("17000000.ga10b", "ga10b", 1000, 1_300_500_000),
    "var/lib/nvpmodel/status": "pmode:0003",
    "proc/self/cgroup": "0::/../../user.slice\n",
    "sys/fs/cgroup/memory.max": "4294967296\n",
    "sys/fs/cgroup/user.slice/memory.max": "2147483648\n",
}

THOR: Files = {
    **tegra("NVIDIA Jetson AGX Thor Developer Kit", "264", "# R38 (release), REVISION: 2.0"),
    "proc/meminfo": meminfo(128_790_092, 104_857_600, 3_000_000, 101_000_000),
    **zones(tj_thermal=45_000),
    **devfreq("gpu-nvd-0", "gpu", None, 900_000_000),
    **devfreq("gpu-gpc-0", "gpu", None, 1_575_000_000),
}

DESKTOP: Files = {
    "proc/meminfo": meminfo(65_000_000, 50_000_000, 30_000_000, 20_000_000, 8_000_000),
    **zones(acpitz=27_800, x86_pkg_temp=55_000),
    "sys/class/thermal/thermal_zone2/type": "acpitz\n",
    "sys/class/thermal/thermal_zone2/temp": "16800\n",
    "sys/class/thermal/cooling_device0/type": "Processor\n",
    "sys/class/thermal/cooling_device0/cur_state": "0\n",
    **CGROUP_V2,
}

CONTAINER: Files = {
    "proc/meminfo": meminfo(16_000_000, 9_000_000, 2_000_000, 7_000_000),
    "proc/self/cgroup": "12:cpuset:/\n4:cpu,memory:/docker/0123\n0::/\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/memory/docker/0123/memory.limit_in_bytes": "2147483648\n",
}

BARE: Files = {}

ALL = {
    "Orin Nano": ORIN_NANO,
    "AGX Orin": AGX_ORIN,
    "Thor": THOR,
    "desktop": DESKTOP,
    "container": CONTAINER,
    "nothing": BARE,
}


def build(root: Path, files: Files) -> Path:
    """Write *files* below *root* and return it."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


DATA = Path(__file__).parents[2] / "data" / "boards"
DESCRIBED = sorted(path.stem for path in DATA.glob("*.toml"))


def described(board: str) -> dict[str, Any]:
    """Return the description of a board in the data of the tests: ``files`` and ``jtop``."""
    return tomllib.loads((DATA / f"{board}.toml").read_text())
