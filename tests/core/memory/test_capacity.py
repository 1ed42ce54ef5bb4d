from orac_core.devices import Gpu, Machine, Memory
from orac_core.memory import Space, capacity


def test_what_is_available_is_there_with_the_page_cache_that_is_given_back():
    there = capacity(Machine(Memory(available_bytes=5000, page_cache_bytes=1400)))
    assert (there.space, there.page_cache_bytes, there.unified) == (Space(5000), 1400, True)


def test_nothing_is_known_of_a_machine_that_says_nothing():
    assert capacity(Machine()) is None


def test_the_limit_of_a_control_group_is_the_end_of_memory():
    memory = Memory(available_bytes=5000, limit_available_bytes=700, page_cache_bytes=1400)
    there = capacity(Machine(memory))
    assert (there.space, there.page_cache_bytes) == (Space(700), 700)


def test_files_that_loaded_models_read_all_the_time_are_no_room():
    memory = Memory(available_bytes=5000, page_cache_bytes=3000)
    there = capacity(Machine(memory), [1000, 1500])
    assert (there.space, there.page_cache_bytes) == (Space(2500), 500)


def test_a_gpu_with_memory_of_its_own_counts_apart():
    gpu = Gpu(memory_total_bytes=800, memory_used_bytes=300)
    there = capacity(Machine(Memory(available_bytes=5000, unified=False), gpu))
    assert (there.space, there.unified) == (Space(5000, 500), False)


def test_a_gpu_that_shares_the_memory_adds_none():
    gpu = Gpu(memory_total_bytes=800, memory_used_bytes=300)
    there = capacity(Machine(Memory(available_bytes=5000, unified=True), gpu))
    assert (there.space, there.unified) == (Space(5000), True)
