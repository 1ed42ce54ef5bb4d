"""The reader against the `gguf` package, and against files that are cut or changed at random."""

import os
import random
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import gguf
import numpy as np
import pytest
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orac_core.errors import ModelFileInvalid
from orac_core.files import GgufHeader, read_header
from orac_core.files.ggml_types import FILE_TYPES, TENSOR_TYPES
from tests.raw_gguf import Raw
from tests.tiny_models import TINY_MODELS, write

MIB = 1024**2

# The same examples in every run: what is found is found by everybody.
repeatable = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).filter(
    lambda name: len(name.encode()) <= 63
)
numbers = st.integers(1, 2**32 - 1)
values = st.one_of(
    st.tuples(st.just(gguf.GGUFValueType.STRING), st.text(st.characters(codec="utf-8"))),
    st.tuples(st.just(gguf.GGUFValueType.BOOL), st.booleans()),
    st.tuples(st.just(gguf.GGUFValueType.INT64), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(gguf.GGUFValueType.UINT8), st.integers(0, 255)),
    st.tuples(st.just(gguf.GGUFValueType.FLOAT32), st.floats(width=32)),
    st.tuples(st.just(gguf.GGUFValueType.FLOAT64), st.floats()),
)
lists = st.one_of(
    st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=8),
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=8),
    st.lists(st.booleans(), min_size=1, max_size=8),
    st.lists(st.floats(width=32), min_size=1, max_size=8),
)


@st.composite
def tensors(draw):
    """A tensor of any type and of one to four dimensions, as the bytes the package wants."""
    kind = draw(st.sampled_from(sorted(GGMLQuantizationType)))
    row_bytes = draw(st.integers(1, 3)) * GGML_QUANT_SIZES[kind][1]
    others = draw(st.lists(st.integers(1, 4), max_size=3))
    return kind, np.zeros((*others, row_bytes), np.uint8)


def write_random(path, shape, extra, extra_lists, table):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("a model")
    writer.add_context_length(shape[0])
    writer.add_block_count(shape[1])
    writer.add_head_count(shape[2])
    writer.add_head_count_kv([shape[3], shape[4]])
    writer.add_embedding_length(shape[5])
    writer.add_sliding_window(shape[6])
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "b", "c"][: 1 + shape[0] % 3])
    for key, (kind, value) in extra.items():
        writer.add_key_value(f"x.{key}", value, kind)
    for key, items in extra_lists.items():
        writer.add_array(f"y.{key}", items)
    for name, (kind, blocks) in table.items():
        writer.add_tensor(name, blocks, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def told_by_oracle(path) -> dict[str, object]:
    """The same facts, taken from the reader of the gguf package."""
    reader = gguf.GGUFReader(path)

    def value(key):
        return reader.fields[key].contents()

    sizes: dict[str, int] = {}
    for tensor in reader.tensors:
        name = tensor.tensor_type.name
        sizes[name] = sizes.get(name, 0) + int(tensor.n_bytes)
    return {
        "version": int(value("GGUF.version")),
        "architecture": value("general.architecture"),
        "name": value("general.name"),
        "context_length": value("llama.context_length"),
        "layers": value("llama.block_count"),
        "heads": value("llama.attention.head_count"),
        "kv_heads": max(value("llama.attention.head_count_kv")),
        "embedding_length": value("llama.embedding_length"),
        "sliding_window": value("llama.attention.sliding_window"),
        "tokenizer": value("tokenizer.ggml.model"),
        "vocabulary_size": len(value("tokenizer.ggml.tokens")),
        "tensor_count": len(reader.tensors),
        "tensor_bytes": sum(sizes.values()),
        "parameters": sum(int(tensor.n_elements) for tensor in reader.tensors),
        "data_offset": int(reader.data_offset),
        "needed_bytes": max(int(t.data_offset + t.n_bytes) for t in reader.tensors),
        "quantization": max(sizes, key=sizes.__getitem__),
    }


@repeatable
@given(
    shape=st.tuples(*[numbers] * 3, *[st.integers(1, 2**31 - 1)] * 2, *[numbers] * 2),
    extra=st.dictionaries(names, values, max_size=6),
    extra_lists=st.dictionaries(names, lists, max_size=6),
    table=st.dictionaries(names, tensors(), min_size=1, max_size=6),
)
def test_the_reader_agrees_with_the_gguf_package(shape, extra, extra_lists, table):
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.gguf")
        write_random(path, shape, extra, extra_lists, table)

        header = read_header(path)
        expected = told_by_oracle(path)

    assert {field: getattr(header, field) for field in expected} == expected


def test_tensor_types_are_those_of_the_gguf_package():
    known = {
        int(kind): (kind.name, *map(int, GGML_QUANT_SIZES[kind])) for kind in GGMLQuantizationType
    }

    ours = {
        number: (kind.name, kind.block, kind.block_bytes) for number, kind in TENSOR_TYPES.items()
    }

    assert {number: ours[number] for number in known} == known


def test_file_types_are_those_of_the_gguf_package():
    known = {
        int(kind): kind.name.removeprefix("MOSTLY_").removeprefix("ALL_")
        for kind in gguf.LlamaFileType
        if kind is not gguf.LlamaFileType.GUESSED
    }

    assert {number: FILE_TYPES[number] for number in known} == known


@pytest.fixture(scope="module", params=[model.name for model in TINY_MODELS])
def whole(request, tmp_path_factory) -> bytes:
    """The bytes of each tiny model in turn."""
    return write(tmp_path_factory.mktemp("whole"), request.param).read_bytes()


def outcome(path: Path) -> GgufHeader | None:
    """Read the file; None when it is refused. Any other error gets through."""
    with suppress(ModelFileInvalid):
        return read_header(path)
    return None


def test_a_file_cut_anywhere_is_refused(tmp_path, whole):
    path = tmp_path / "x.gguf"
    path.write_bytes(whole)
    chance = random.Random(5)
    places = chance.sample(range(len(whole)), 100)
    places += chance.sample(range(read_header(path).data_offset), 100)

    accepted = []
    for place in sorted(places, reverse=True):
        os.truncate(path, place)
        if outcome(path):
            accepted.append(place)

    assert accepted == []


def test_a_header_with_a_changed_byte_is_read_or_refused_in_time_and_little_memory(tmp_path, whole):
    path = tmp_path / "x.gguf"
    path.write_bytes(whole)
    header_bytes = read_header(path).data_offset
    slowest, peak = 0.0, 0
    tracemalloc.start()
    for seed in range(500):
        chance = random.Random(seed)
        place = chance.randrange(header_bytes)
        overwrite(path, place, bytes([whole[place] ^ chance.randrange(1, 256)]))
        tracemalloc.reset_peak()
        begin = time.perf_counter()

        outcome(path)

        slowest = max(slowest, time.perf_counter() - begin)
        peak = max(peak, tracemalloc.get_traced_memory()[1])
        overwrite(path, place, whole[place : place + 1])
    tracemalloc.stop()

    assert slowest < 5
    assert peak < 100 * MIB


def test_a_header_with_many_changed_bytes_is_read_or_refused(tmp_path, whole):
    path = tmp_path / "x.gguf"
    path.write_bytes(whole)
    header_bytes = read_header(path).data_offset
    for seed in range(200):
        chance = random.Random(seed)
        overwrite(path, 0, whole[:header_bytes])
        for place in chance.sample(range(8, header_bytes), 1 + seed % 20):
            overwrite(path, place, bytes([chance.choice([0, 1, 8, 9, 127, 128, 255])]))

        outcome(path)


def overwrite(path: Path, place: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(content)


@repeatable
@given(tail=st.binary(max_size=400), keep=st.integers(0, 200), counts=st.tuples(*[numbers] * 2))
def test_anything_behind_a_valid_beginning_is_read_or_refused(tail, keep, counts):
    raw = Raw.whole().u32("llama.context_length", 5).strings("tokenizer.ggml.tokens", ["a"] * 3)
    raw.tensor_count, raw.key_count = (count % 20 for count in counts)
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.gguf")
        path.write_bytes(raw.header()[: 24 + keep] + tail)

        outcome(path)
