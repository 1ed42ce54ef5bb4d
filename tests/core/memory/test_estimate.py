"""What a model needs in memory: rules that hold for every model, and the engine's own figures."""

import pytest
from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st

from orac_core import Block, Shape
from orac_core.memory import Need, Setup, estimate, largest_context

MIB = 1 << 20

amounts = st.integers(0, 1 << 30)
widths = st.integers(0, 1 << 14)
blocks = st.builds(
    Block,
    weights_bytes=amounts,
    key_width=widths,
    value_width=widths,
    window=st.integers(0, 8192),
    state_bytes=st.integers(0, 1 << 24),
)
shapes = st.builds(
    Shape,
    blocks=st.lists(blocks, min_size=1, max_size=12).map(tuple),
    embedding_bytes=amounts,
    output_bytes=amounts,
    other_bytes=amounts,
    embedding_width=st.integers(1, 1 << 14),
    query_width=widths,
    feed_forward_width=st.integers(0, 1 << 18),
    widest_vector=st.integers(0, 1 << 18),
    vocabulary_size=st.integers(0, 300_000),
    merges=st.integers(0, 300_000),
)
setups = st.builds(
    Setup,
    context_length=st.integers(1, 1 << 18),
    parallel=st.integers(1, 16),
    gpu_layers=st.none() | st.integers(0, 20),
    cache_type_bytes=st.sampled_from([2.0, 34 / 32, 18 / 32, 4.0]),
)


def parts(need: Need) -> tuple[int, ...]:
    return (need.weights_bytes, need.kv_cache_bytes, need.compute_bytes, need.margin_bytes)


def at_most(less: Need, more: Need) -> bool:
    return all(a <= b for a, b in zip(parts(less), parts(more), strict=True)) and (
        less.gpu_bytes <= more.gpu_bytes
    )


@given(shapes, setups)
def test_nothing_is_negative_and_both_shares_make_the_sum(shape, setup):
    need = estimate(shape, setup)

    assert min(*parts(need), need.gpu_bytes, need.host_bytes) >= 0
    assert need.total_bytes == sum(parts(need)) == need.gpu_bytes + need.host_bytes


@given(shapes, setups, st.integers(0, 1 << 16), st.integers(0, 8))
def test_more_context_or_more_answers_never_need_less(shape, setup, tokens, answers):
    more = evolve(
        setup,
        context_length=setup.context_length + tokens,
        parallel=setup.parallel + answers,
    )
    assert at_most(estimate(shape, setup), estimate(shape, more))


@given(shapes, setups, st.integers(0, 20))
def test_layers_on_the_gpu_move_bytes_there_and_add_only_what_both_sides_need(
    shape, setup, gpu_layers
):
    none = estimate(shape, evolve(setup, gpu_layers=0))
    some = estimate(shape, evolve(setup, gpu_layers=gpu_layers))
    more = estimate(shape, evolve(setup, gpu_layers=gpu_layers + 1))

    assert none.gpu_bytes == 0
    assert some.gpu_bytes <= more.gpu_bytes
    twice = none.compute_bytes + (shape.embedding_bytes if shape.is_tied else 0)
    assert none.total_bytes <= some.total_bytes <= none.total_bytes + twice


@given(shapes, setups)
def test_all_layers_are_one_more_than_the_blocks_as_the_output_counts(shape, setup):
    whole = evolve(setup, gpu_layers=len(shape.blocks) + 1)
    assert estimate(shape, evolve(setup, gpu_layers=None)) == estimate(shape, whole)
    assert estimate(shape, evolve(whole, gpu_layers=999)) == estimate(shape, whole)


@given(shapes, setups)
def test_with_all_layers_on_the_gpu_the_host_keeps_embedding_norms_copies_and_process(shape, setup):
    need = estimate(shape, evolve(setup, gpu_layers=None))
    forgetful = any(it.window or it.state_bytes for it in shape.blocks)

    kept = shape.embedding_bytes + shape.other_bytes + need.margin_bytes
    assert need.host_bytes >= kept
    assert forgetful or need.host_bytes == kept


@given(shapes, setups)
def test_a_window_never_makes_the_cache_larger(shape, setup):
    stateless = evolve(shape, blocks=tuple(evolve(it, state_bytes=0) for it in shape.blocks))
    full = evolve(stateless, blocks=tuple(evolve(it, window=0) for it in stateless.blocks))
    copies = 3  # the cache itself, and at most two copies of windows

    limited = estimate(stateless, setup).kv_cache_bytes
    assert limited <= copies * estimate(full, setup).kv_cache_bytes


@given(shapes, setups)
def test_beyond_the_window_only_layers_with_full_attention_grow(shape, setup):
    windowed = evolve(
        shape, blocks=tuple(evolve(it, window=max(it.window, 1)) for it in shape.blocks)
    )
    beyond = [evolve(setup, context_length=length) for length in (8192 + 512 + 256, 1 << 18)]
    near, far = (estimate(windowed, each) for each in beyond)
    assert near == far


@given(shapes, setups, st.integers(0, 1 << 42))
def test_the_largest_context_fits_and_the_next_one_does_not(shape, setup, available):
    def fits(need: Need) -> bool:
        return need.total_bytes <= available

    def needed(tokens: int) -> Need:
        return estimate(shape, evolve(setup, context_length=tokens))

    found = largest_context(shape, setup, fits)

    if found is None:
        assert setup.context_length < 256 or not fits(needed(256))
    else:
        assert found % 256 == 0
        assert 256 <= found <= setup.context_length
        assert fits(needed(found))
        assert found + 256 > setup.context_length or not fits(needed(found + 256))


@given(shapes, setups)
def test_what_always_fits_gets_the_context_that_was_asked_for(shape, setup):
    assume(setup.context_length >= 256)
    wanted = setup.context_length // 256 * 256
    assert largest_context(shape, setup, lambda _: True) == wanted
    assert largest_context(shape, setup, lambda _: False) is None


def gemma3() -> Shape:
    """26 layers, of which every sixth sees everything; one head of 256 for keys and values."""
    layers = tuple(
        Block(key_width=256, value_width=256, window=512 if number % 6 < 5 else 0)
        for number in range(26)
    )
    return Shape(blocks=layers, embedding_width=1152, query_width=1024)


def test_a_windowed_cache_is_as_large_as_the_engine_says_it_makes_it():
    """Of 4096 tokens for two answers it says 32 and 44 MiB, and keeps copies of 11 MiB."""
    need = estimate(gemma3(), Setup(4096, parallel=2))
    assert need.kv_cache_bytes == (32 + 44) * MIB + 2 * 2 * 11 * MIB


def test_a_cache_is_padded_for_each_answer_to_256_tokens():
    shape = Shape(blocks=(Block(key_width=64, value_width=64),), embedding_width=64)
    assert estimate(shape, Setup(300, parallel=2)).kv_cache_bytes == 2 * 512 * 128 * 2
    packed = estimate(shape, Setup(512, cache_type_bytes=34 / 32))
    assert packed.kv_cache_bytes == 512 * 128 * 34 / 32


@pytest.mark.parametrize(
    ("width", "queries", "cache", "feed_forward", "engine_mib"),
    [
        (1024, 1024, 512, 3 * 3072, 32.02),
        (512, 1024, 512, 3 * 1536, 18.02),
        (1024, 1024, 256, 3 * 2816, 30.52),
        (768, 768, 768, 3072, 17.52),
        (1024, 1024, 1024, 4096, 22.02),
    ],
    ids=["qwen3-1.7b", "qwen3-0.6b", "llama", "gpt2 and gptneox", "phi2"],
)
def test_the_room_to_compute_in_is_what_the_engine_reserves_for_4096_tokens(
    width, queries, cache, feed_forward, engine_mib
):
    shape = Shape(
        blocks=(Block(key_width=cache, value_width=cache),),
        embedding_width=width,
        query_width=queries,
        feed_forward_width=feed_forward,
    )
    found = estimate(shape, Setup(4096)).compute_bytes / MIB
    assert found == pytest.approx(engine_mib, abs=0.1)


def test_a_tied_output_is_there_twice_once_it_lies_on_the_gpu():
    tied = Shape(blocks=(Block(weights_bytes=10),), embedding_bytes=100, embedding_width=1)
    assert estimate(tied, Setup(256, gpu_layers=0)).weights_bytes == 110
    assert estimate(tied, Setup(256, gpu_layers=1)).weights_bytes == 210
    assert estimate(tied, Setup(256, gpu_layers=1)).gpu_bytes == 100
    own = evolve(tied, output_bytes=80)
    assert estimate(own, Setup(256)).weights_bytes == 190


@pytest.mark.parametrize("wrong", [{"context_length": 0}, {"parallel": 0}, {"gpu_layers": -1}])
def test_a_setup_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Setup(**({"context_length": 512} | wrong))
