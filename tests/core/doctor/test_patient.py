"""The page cache of a file is given back, and memory on its way back is waited for."""

import asyncio
import ctypes
import mmap
import os
from itertools import count

import pytest
from attrs import define, evolve

from orac_core.devices import Gpu, Memory
from orac_core.doctor.evidence import Snapshot
from orac_core.doctor.patient import Patient, give_back, room
from tests.core.doctor.scripted_bench import ScriptedBench
from tests.simulation import loop

GIB = 1 << 30


def cached_ratio(path) -> float:
    """Return the share of the file's pages that are in the page cache (mincore(2))."""
    size, page = path.stat().st_size, mmap.PAGESIZE
    pages = -(-size // page)
    seen = (ctypes.c_ubyte * pages)()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), size) as memory:
        address = ctypes.addressof(at := ctypes.c_char.from_buffer(memory))
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), seen) == 0
        del at
    return sum(each & 1 for each in seen) / pages


def test_the_page_cache_of_a_file_is_given_back_without_root(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"\1" * (8 << 20))
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.read_bytes()
    if cached_ratio(path) < 0.9:
        pytest.skip("this file system does not cache")
    give_back([path])
    left = cached_ratio(path)
    if left > 0.9:
        pytest.skip("the page cache is the only place of this file system")
    assert left < 0.1


def test_a_file_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        give_back([tmp_path / "gone.gguf"])


@define(eq=False)
class Returning(ScriptedBench):
    """Memory that is back some seconds after the unload, in one piece."""

    seconds: float = 0.0

    async def snapshot(self) -> Snapshot:
        ago = asyncio.get_running_loop().time() - (self._unloaded_at or 0)
        back = ago >= self.seconds
        return Snapshot(memory=Memory(available_bytes=5 * GIB if back else 2 * GIB))

    async def load(self, gpu_layers: int | None) -> None:
        self.done.append(f"load with {room(await self.snapshot()) // GIB} GiB")


@pytest.mark.parametrize("seconds", [0.0, 3.0, 8.0])
def test_a_load_waits_until_the_memory_is_back(seconds):
    bench = Returning(seconds=seconds)

    async def reload() -> None:
        patient = Patient(bench, 600)
        async with patient.examined():
            await patient.reload(None, when_back=True)

    loop.run(reload)
    assert bench.done == ["unload", "load with 5 GiB"]


def test_memory_that_never_stays_the_same_is_waited_for_a_minute_at_most():
    amounts = count(GIB, GIB)

    @define(eq=False)
    class Restless(ScriptedBench):
        async def snapshot(self) -> Snapshot:
            return Snapshot(memory=Memory(available_bytes=next(amounts)))

    async def reload() -> float:
        patient = Patient(Restless(), 600)
        async with patient.examined():
            began = asyncio.get_running_loop().time()
            await patient.reload(None, when_back=True)
            return asyncio.get_running_loop().time() - began

    assert loop.run(reload) < 75


def test_room_is_the_machines_memory_and_that_of_the_gpu():
    snapshot = Snapshot(memory=Memory(available_bytes=3 * GIB))
    assert room(Snapshot()) == 0
    assert room(snapshot) == 3 * GIB
    own = Gpu(memory_total_bytes=8 * GIB, memory_used_bytes=6 * GIB)
    assert room(evolve(snapshot, gpu=own)) == 5 * GIB
