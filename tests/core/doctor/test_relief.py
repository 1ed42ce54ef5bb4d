"""What gives memory back, and in which order."""

from math import inf

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orac_core.doctor import Relief, Situation, Tenant, relieving
from orac_core.memory import Savings

MIB, GIB = 1 << 20, 1 << 30
SAVINGS = Savings(2048, 256 * MIB, 1, 200 * MIB, 120 * MIB, 14, 900 * MIB)
CHAT = Tenant("local/chat", "llamacpp", 3 * GIB, SAVINGS, idle_s=12.0)
CODE = Tenant("ollama/code:7b", "ollama", 4 * GIB, Savings(4096, GIB), idle_s=700.0)
BOARD = Situation((CHAT, CODE), unified=True, free_bytes=300 * MIB, page_cache_bytes=2 * GIB)

sizes = st.none() | st.integers(0, 8 * GIB)
counts = st.none() | st.integers(1, 1 << 17)
situations = st.builds(
    Situation,
    st.lists(
        st.builds(
            Tenant,
            st.sampled_from(["local/a", "local/b c", "ollama/d:7b"]),
            st.sampled_from(["llamacpp", "ollama", "other"]),
            sizes,
            st.builds(Savings, counts, sizes, counts, sizes, sizes, counts, sizes),
            st.floats(0, 1e6) | st.just(inf),
            st.booleans(),
        ),
        max_size=4,
    ).map(tuple),
    server=st.booleans(),
    unified=st.booleans(),
    cards=st.booleans(),
    free_bytes=sizes,
    page_cache_bytes=sizes,
    power_mode=st.sampled_from([None, "15W", "MAXN"]),
    jetson_clocks=st.sampled_from([None, True, False]),
)


def ways(situation):
    return [each.relief for each in relieving(situation)]


def only(situation, relief):
    return [each for each in relieving(situation) if each.relief is relief]


@given(situations)
def test_the_order_of_the_ways_always_holds_and_of_one_way_what_frees_most_comes_first(situation):
    found = relieving(situation)
    order = [(list(Relief).index(each.relief), -(each.frees_bytes or 0)) for each in found]
    assert order == sorted(order)


@given(situations)
def test_what_is_advised_says_how_much_it_frees_and_fits_the_machine(situation):
    for each in relieving(situation):
        assert each.frees_bytes is not None or each.relief is Relief.EVICT
        assert each.relief is not Relief.LAYERS or situation.cards
        assert each.relief is not Relief.PAGE_CACHE or situation.unified
        if each.relief is Relief.EVICT:
            assert any(it.name == each.model and not it.stays for it in situation.tenants)
        if each.command and "orac " in each.command:
            assert situation.server


def test_a_smaller_context_names_the_number_the_commands_and_the_key_that_lasts():
    first, second = only(BOARD, Relief.CONTEXT)
    assert (first.model, second.model) == ("ollama/code:7b", "local/chat")
    assert second.text == (
        "load local/chat with half its context, 2048 tokens: frees about 256 MiB"
    )
    assert second.command == "orac unload local/chat && orac load local/chat --context-length 2048"
    assert second.setting == 'models.files."chat".context_length = 2048'
    assert (second.frees_bytes, second.estimated) == (256 * MIB, True)


def test_fewer_answers_at_once_are_a_key_of_the_backend():
    (found,) = only(BOARD, Relief.PARALLEL)
    assert found.text == "let local/chat give one answer at a time: frees about 200 MiB"
    assert found.setting == "backends.local.parallel = 1"


def test_a_quantised_cache_is_a_key_for_llamacpp_and_variables_for_ollama():
    code = evolve(CODE, savings=Savings(cache_bytes=GIB))
    other = evolve(CODE, name="x/y", kind="other", savings=Savings(cache_bytes=GIB))
    found = only(evolve(BOARD, tenants=(CHAT, code, other)), Relief.CACHE)
    assert [each.setting for each in found] == [
        "OLLAMA_FLASH_ATTENTION=1 OLLAMA_KV_CACHE_TYPE=q8_0 (for `ollama serve`)",
        'backends.local.cache_type = "q8_0"',
    ]


def test_layers_are_moved_only_where_a_gpu_has_memory_of_its_own():
    assert only(BOARD, Relief.LAYERS) == []
    (found,) = only(evolve(BOARD, unified=False, cards=True), Relief.LAYERS)
    assert found.command == "orac unload local/chat && orac load local/chat --gpu-layers 14"
    assert found.frees_bytes == 900 * MIB


def test_the_model_that_was_used_least_recently_is_unloaded_unless_it_stays():
    (found,) = only(BOARD, Relief.EVICT)
    assert found.text == ("unload ollama/code:7b, which was last asked 11 min ago: frees 4.0 GiB")
    assert (found.command, found.estimated) == ("orac unload ollama/code:7b", False)
    stays = evolve(BOARD, tenants=(CHAT, evolve(CODE, stays=True)))
    assert [each.model for each in only(stays, Relief.EVICT)] == ["local/chat"]


def test_a_model_that_nobody_has_asked_goes_first():
    unused = Tenant("local/new", "llamacpp", MIB)
    (found,) = only(evolve(BOARD, tenants=(CODE, unused)), Relief.EVICT)
    assert found.text == "unload local/new, which has not been asked yet: frees 1 MiB"


def test_without_a_server_only_an_engine_can_unload():
    alone = evolve(BOARD, server=False)
    (found,) = only(alone, Relief.EVICT)
    assert found.command == "ollama stop code:7b"
    assert all(each.command is None for each in only(alone, Relief.CONTEXT))


def test_page_cache_is_given_back_where_a_gpu_shares_the_memory_and_there_is_much_of_it():
    (found,) = only(BOARD, Relief.PAGE_CACHE)
    assert found.text.startswith("give the page cache back before a load: 2.0 GiB, beside 300 MiB")
    assert found.command == "sync; echo 3 | sudo tee /proc/sys/vm/drop_caches"
    assert only(evolve(BOARD, page_cache_bytes=100 * MIB), Relief.PAGE_CACHE) == []
    assert only(evolve(BOARD, unified=False), Relief.PAGE_CACHE) == []


def test_a_lower_power_mode_and_free_clocks_are_told_last_and_free_nothing():
    low = evolve(BOARD, power_mode="15W", jetson_clocks=False)
    assert relieving(low)[-1].text.startswith("the power mode is 15W")
    held = evolve(BOARD, power_mode="MAXN_SUPER", jetson_clocks=False)
    last = relieving(held)[-1]
    assert (last.relief, last.command, last.frees_bytes) == (
        *(Relief.POWER, "sudo jetson_clocks", 0),
    )
    best = evolve(BOARD, power_mode="MAXN", jetson_clocks=True)
    assert Relief.POWER not in ways(best)


def test_nothing_loaded_and_nothing_known_leave_nothing_to_do():
    assert relieving(Situation()) == ()


def test_a_name_with_a_space_stays_one_word_of_the_command():
    odd = evolve(CHAT, name="local/my chat")
    (found,) = only(evolve(BOARD, tenants=(odd,)), Relief.EVICT)
    assert found.command == "orac unload 'local/my chat'"
