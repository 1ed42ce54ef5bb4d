"""What a loaded model would leave free, were it loaded smaller."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orac_core import LoadedInfo, ModelInfo, ModelState, Shape
from orac_core.memory import Setup, estimate, savings
from orac_core.shape import Block

MIB = 1 << 20
BLOCK = Block(weights_bytes=50 * MIB, key_width=1024, value_width=1024)
SHAPE = Shape(blocks=(BLOCK,) * 16, embedding_bytes=100 * MIB, embedding_width=2048)
LOADED = ModelInfo(
    "m",
    ModelState.READY,
    context_length=32_768,
    shape=SHAPE,
    loaded=LoadedInfo(context_length=8192, gpu_layers=17, parallel=4, on_gpu_ratio=1.0),
)
CACHE = 8192 * 4 * 16 * 2048 * 2


def test_half_the_context_and_half_the_answers_each_free_half_the_cache():
    found = savings(LOADED)
    assert found is not None
    assert (found.context_length, found.parallel) == (4096, 2)
    assert found.parallel_bytes == CACHE // 2
    assert found.context_bytes == pytest.approx(CACHE / 2, rel=0.02)  # and the mask of a batch


def test_a_cache_of_q8_0_frees_15_of_32_parts():
    found = savings(LOADED)
    assert found is not None
    assert found.cache_bytes == CACHE * 15 // 32


def test_half_the_layers_leave_their_weights_and_cache_to_the_cpu():
    found = savings(LOADED)
    assert found is not None
    assert found.gpu_layers == 8
    now, then = (estimate(SHAPE, Setup(8192, 4, layers)) for layers in (17, 8))
    assert found.gpu_layers_bytes == now.gpu_bytes - then.gpu_bytes > 8 * 50 * MIB


@pytest.mark.parametrize(
    "info",
    [
        evolve(LOADED, state=ModelState.STOPPED, loaded=None),
        evolve(LOADED, state=ModelState.STARTING),
        evolve(LOADED, shape=None),
        evolve(LOADED, remote=True),
    ],
    ids=["not loaded", "being loaded", "of no known shape", "elsewhere"],
)
def test_what_is_not_in_this_memory_or_not_known_saves_nothing(info):
    assert savings(info) is None


def test_one_answer_at_a_time_and_no_gpu_leave_no_such_way():
    found = savings(evolve(LOADED, loaded=LoadedInfo(4096, 0, 1, on_gpu_ratio=0.0)))
    assert found is not None
    assert (found.parallel, found.parallel_bytes) == (None, None)
    assert (found.gpu_layers, found.gpu_layers_bytes) == (None, None)


def test_an_encoder_has_no_cache_to_save():
    found = savings(evolve(LOADED, shape=evolve(SHAPE, is_encoder=True)))
    assert found is not None
    assert (found.context_length, found.context_bytes, found.cache_bytes) == (None, None, None)


@given(
    context=st.integers(1, 1 << 17),
    parallel=st.integers(1, 64),
    layers=st.none() | st.integers(0, 40),
    window=st.sampled_from([0, 512]),
)
def test_nothing_smaller_ever_takes_more(context, parallel, layers, window):
    shape = evolve(SHAPE, blocks=(BLOCK, evolve(BLOCK, window=window)) * 4)
    how = LoadedInfo(context, layers, parallel)
    found = savings(evolve(LOADED, shape=shape, context_length=None, loaded=how))
    assert found is not None
    freed = (found.context_bytes, found.parallel_bytes, found.cache_bytes, found.gpu_layers_bytes)
    assert all(each is None or each >= 0 for each in freed)
