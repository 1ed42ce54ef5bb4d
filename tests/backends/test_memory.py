"""What a model needs in memory, held against what the engine takes."""

import gguf
import pytest

from orac_core.memory import Setup, estimate, savings
from tests.backends.driving import ask, load, raw, told
from tests.tiny_models import write, write_quantized

MIB = 1 << 20
LARGER = {
    "width": 512,
    "layers": 2,
    "heads": 8,
    "kv_heads": 8,
    "head_width": 64,
    "hidden": 4096,
    "context_length": 8192,
    "more_tokens": 30_000,
}


@pytest.mark.parametrize("name", ["tiny-qwen3-0.6b", "tiny-tinyllama", "tiny-phi2"])
async def test_the_engine_takes_what_was_estimated(open_llamacpp, tmp_path, name):
    write(tmp_path, name, **LARGER)
    backend = await open_llamacpp(tmp_path)
    await load(backend, name, context_length=8192, parallel=2)
    await ask(backend, raw(name, "hello the world " * 150, max_tokens=2))

    assert_as_estimated(await told(backend, name), Setup(8192, parallel=2, gpu_layers=0))


async def test_a_quantised_cache_takes_as_much_less_as_was_estimated(open_llamacpp, tmp_path):
    name = "tiny-qwen3-0.6b"
    write(tmp_path, name, **LARGER)
    backend = await open_llamacpp(tmp_path, cache_type="q8_0")
    await load(backend, name, context_length=8192, parallel=4)
    assert (await ask(backend, raw(name, "hello the world " * 150, max_tokens=2)))[-1].done

    info = await told(backend, name)
    assert info.would_use.cache_type_bytes == 34 / 32
    assert_as_estimated(info, Setup(8192, 4, 0, 34 / 32))
    assert savings(info).cache_bytes is None


@pytest.mark.parametrize("kind", [gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q8_0])
async def test_weights_that_the_engine_lays_out_anew_are_in_memory_once(
    open_llamacpp, tmp_path, kind
):
    name = "tiny-qwen3-1.7b"
    write_quantized(
        tmp_path, name, kind, **(LARGER | {"width": 1024, "hidden": 2048, "layers": 24})
    )
    backend = await open_llamacpp(tmp_path)
    await load(backend, name, context_length=512, parallel=1)

    assert_as_estimated(await told(backend, name), Setup(512, gpu_layers=0))


def assert_as_estimated(info, setup):
    need = estimate(info.shape, setup).total_bytes
    measured = info.loaded.memory_bytes
    assert measured > 128 * MIB
    assert abs(need - measured) <= max(32 * MIB, 0.15 * measured)
