"""Checkpoints as their files tell them, with all that can be wrong with them; nothing is run."""

import json
import pickle
import struct
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_backends.transformers.checkpoint import checkpoint
from orac_backends.transformers.library import Library
from orac_backends.transformers.tensors import Unusable, tensors
from tests.tiny_checkpoints import (
    CONFIG,
    TENSORS,
    header,
    safetensors,
    split,
    with_header,
    write,
)

WHOLE = safetensors()


def problem(path, **options) -> str:
    found = checkpoint("it", path, **options)
    assert found.problem
    assert found.problem.isprintable()
    return found.problem


def read(tmp_path, raw):
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw)
    return tensors(path)


def test_a_checkpoint_is_told_by_its_configuration_and_its_headers(tmp_path):
    found = checkpoint("tiny", write(tmp_path))
    assert (found.problem, found.note) == (None, None)
    assert (found.architecture, found.parameters) == ("llama", 4 * 128 + 8)
    assert (found.quantization, found.context_length) == ("BF16", 512)
    assert found.size_bytes == len(WHOLE)
    assert found.weights_bytes == 4 * 256 + 32
    assert found.has_chat_template
    assert [block.weights_bytes for block in found.shape.blocks] == [256, 256]
    assert (found.shape.embedding_bytes, found.shape.output_bytes) == (256, 256)


def test_weights_that_are_turned_into_another_type_take_its_room(tmp_path):
    whole = write(tmp_path)
    found, wide = checkpoint("a", whole), checkpoint("a", whole, width=4)
    assert wide.weights_bytes == 4 * 512 + 32
    assert wide.size_bytes == found.size_bytes
    assert wide.shape.blocks[0].weights_bytes == 2 * found.shape.blocks[0].weights_bytes
    assert wide.shape.blocks[0].key_width == 2 * found.shape.blocks[0].key_width


def test_a_checkpoint_in_parts_is_one_model(tmp_path):
    found = checkpoint("split", split(tmp_path))
    assert found.problem is None
    assert [part.name[:11] for part in found.parts] == ["model-00001", "model-00002"]
    assert found.parameters == 4 * 128 + 8


def test_a_part_that_is_missing_or_cut_is_named(tmp_path):
    gone = split(tmp_path, "gone")
    (gone / "model-00002-of-00002.safetensors").unlink()
    assert "model-00002-of-00002.safetensors is missing, 1 of 2 parts" in problem(gone)
    cut = split(tmp_path, "cut")
    part = cut / "model-00001-of-00002.safetensors"
    part.write_bytes(part.read_bytes()[:-1])
    assert problem(cut).startswith("model-00001-of-00002.safetensors: is cut")


def test_an_index_can_not_reach_out_of_its_folder(tmp_path):
    (tmp_path / "secret.safetensors").write_bytes(WHOLE)
    for name in (
        "../secret.safetensors",
        "/etc/passwd",
        str(tmp_path / "secret.safetensors"),
        "..",
    ):
        index = json.dumps({"weight_map": dict.fromkeys(TENSORS, name)})
        path = write(
            tmp_path, files={"model.safetensors": None, "model.safetensors.index.json": index}
        )
        assert "names what is no file of its folder" in problem(path)


def test_a_tensor_that_no_part_has_is_named(tmp_path):
    path = split(tmp_path)
    index = path / "model.safetensors.index.json"
    told = json.loads(index.read_text())
    told["weight_map"]["model.extra"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(told))
    assert "no part has the tensor model.extra" in problem(path)


def test_a_pickle_is_refused_and_not_read(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").write_text, ("yes",))

    files = {"model.safetensors": None, "pytorch_model.bin": pickle.dumps(Trap())}
    told = problem(write(tmp_path, files=files))
    assert "its weights are pickled (pytorch_model.bin)" in told
    assert "safetensors" in told
    assert not (tmp_path / "ran").exists()


def test_a_pickle_beside_safetensors_is_left_alone(tmp_path):
    found = checkpoint("a", write(tmp_path, files={"pytorch_model.bin": b"whatever"}))
    assert found.problem is None
    assert [part.name for part in found.parts] == ["model.safetensors"]


def test_code_that_a_checkpoint_brings_is_said_to_be_left_alone(tmp_path):
    found = checkpoint("a", write(tmp_path, auto_map={"AutoModelForCausalLM": "evil.Model"}))
    assert found.problem is None
    assert "code of its own (auto_map), which is never run" in found.note


@pytest.mark.parametrize(
    ("config", "files", "told"),
    [
        ({"architectures": ["BertModel"]}, {}, "continues no text: it is made as BertModel"),
        ({}, {"adapter_config.json": "{}"}, "is an adapter"),
        ({"transformers_weights": "other.bin"}, {}, "weights of its own"),
        ({"_attn_implementation": "someone/kernel"}, {}, "code from the net"),
        ({"attn_implementation": {"text": "someone/kernel"}}, {}, "code from the net"),
        ({}, {"tokenizer.json": None}, "has no tokenizer"),
        ({}, {"config.json": "{"}, "config.json is not JSON"),
        ({}, {"config.json": "[]"}, "config.json is not a JSON object"),
        ({}, {"config.json": None}, "cannot be read"),
        ({}, {"tokenizer_config.json": "[" * 5000}, "tokenizer_config.json is not JSON"),
        ({}, {"model.safetensors": None}, "neither model.safetensors nor"),
        ({}, {"model.safetensors": None, "other.safetensors": WHOLE}, "neither model.safetensors"),
        ({}, {"model.safetensors": b""}, "model.safetensors: is empty"),
    ],
)
def test_what_can_not_be_served_is_said_in_a_sentence(tmp_path, config, files, told):
    assert told in problem(write(tmp_path, files=files, **config))


def test_a_configuration_without_end_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("orac_backends.transformers.checkpoint._MAX_BYTES", 100)
    assert "config.json is longer than 100 bytes" in problem(write(tmp_path))


@pytest.mark.parametrize(
    "config",
    [
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": True},
        {"hidden_size": "8"},
        {"num_attention_heads": 0},
        {"text_config": {"hidden_size": None}},
        {"model_type": ["x"]},
        {"model_type": "a\nb"},
        {"quantization_config": {"quant_method": "gptq"}},
        {"quantization_config": 7},
    ],
)
def test_a_strange_configuration_never_stops_the_listing(tmp_path, config):
    assert checkpoint("a", write(tmp_path, **config)).problem is None


def test_the_tensors_of_a_file_are_read_from_its_header(tmp_path):
    assert [it.name for it in read(tmp_path, WHOLE)] == list(TENSORS)
    named = {"__metadata__": {"format": "pt"}} | header()
    assert len(read(tmp_path, with_header(json.dumps(named).encode(), 4 * 256 + 32))) == len(
        TENSORS
    )


def entry(begin, end, dtype="U8", shape=None) -> dict:
    return {
        "dtype": dtype,
        "shape": [end - begin] if shape is None else shape,
        "data_offsets": [begin, end],
    }


@pytest.mark.parametrize(
    ("head", "data_bytes", "told"),
    [
        ({}, 0, "0 tensors"),
        ({"__metadata__": {}}, 0, "0 tensors"),
        ({"a": entry(0, 9)}, 8, "is cut"),
        ({"a": entry(0, 8)}, 9, "overlap, or leave holes"),
        ({"a": entry(1, 8)}, 8, "overlap, or leave holes"),
        ({"a": entry(0, 8), "b": entry(4, 8)}, 8, "overlap, or leave holes"),
        ({"a": entry(0, 4), "b": entry(6, 8)}, 8, "overlap, or leave holes"),
        ({"a": entry(0, 8, shape=[2, 2])}, 8, "size of its shape"),
        ({"a": entry(0, 8, shape=[1 << 40, 1 << 40])}, 8, "size of its shape"),
        ({"a": entry(0, 8, shape=[1] * 9)}, 8, "no list of tensors"),
        ({"a": entry(0, 8, dtype="PICKLE")}, 8, "unknown type"),
        ({"a": entry(0, 8, shape=[-8])}, 8, "no list of tensors"),
        ({"a": entry(-8, 0, shape=[8])}, 8, "no list of tensors"),
        ({"a": entry(0, 1 << 60, shape=[1 << 60])}, 8, "no list of tensors"),
        ({"a": entry(0, 8) | {"more": 1}}, 8, "no list of tensors"),
        ({"a": [0, 8]}, 8, "no list of tensors"),
        ([], 8, "no list of tensors"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, head, data_bytes, told):
    with pytest.raises(Unusable, match=told):
        read(tmp_path, with_header(json.dumps(head).encode(), data_bytes))


def test_a_length_that_the_file_does_not_have_allocates_nothing(tmp_path):
    tracemalloc.start()
    try:
        for length in (2**64 - 1, 2**40, 100):
            with pytest.raises(Unusable, match="is cut, or no safetensors file"):
                read(tmp_path, struct.pack("<Q", length) + b"{}")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_header_that_is_too_long_is_not_read(tmp_path):
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 1 << 30))
        file.truncate(2 << 30)
    with pytest.raises(Unusable, match="longer than"):
        tensors(path)


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_byte_that_was_changed_is_refused_or_does_no_harm(tmp_path_factory, place, change):
    changed = bytearray(WHOLE)
    changed[place] ^= change
    with suppress(Unusable):
        assert len(read(tmp_path_factory.getbasetemp(), bytes(changed))) <= len(TENSORS)


@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_that_was_cut_is_refused_wherever_that_was(tmp_path_factory, length):
    with pytest.raises(Unusable):
        read(tmp_path_factory.getbasetemp(), WHOLE[:length])


async def ids(*paths) -> list[str]:
    return [it.id for it in await Library(paths).all()]


async def test_a_model_is_called_as_its_folder(tmp_path):
    write(tmp_path, "b/SmolLM2-135M")
    write(tmp_path, "a")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("{}")
    assert await ids(tmp_path) == ["a", "SmolLM2-135M"]
    assert await ids(tmp_path / "a") == ["a"]
    assert await ids(tmp_path / "nothing", tmp_path / "a" / "config.json") == []


async def test_of_two_folders_of_one_name_the_second_is_called_by_its_path(tmp_path):
    for place in ("one/tiny", "two/tiny"):
        write(tmp_path, place)
    assert await ids(tmp_path) == ["tiny", "two/tiny"]


async def test_a_cache_of_hugging_face_is_understood(tmp_path):
    snapshot = write(tmp_path, "models--owner--name/snapshots/0123abcd")
    blob = tmp_path / "models--owner--name" / "blobs" / "abc"
    blob.parent.mkdir()
    (snapshot / "model.safetensors").rename(blob)
    (snapshot / "model.safetensors").symlink_to(blob)
    assert await ids(tmp_path) == ["owner/name"]
    assert (await Library((tmp_path,)).find("owner/name")).problem is None


async def test_links_in_circles_end(tmp_path):
    write(tmp_path, "a")
    (tmp_path / "circle").symlink_to(tmp_path)
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    assert await ids(tmp_path) == ["a"]


@pytest.mark.parametrize("name", ["../a", "/etc", "..", "", "a/../a", "a\0", "b/../../a"])
async def test_a_name_never_becomes_a_path(tmp_path, name):
    write(tmp_path, "a")
    assert await Library((tmp_path / "b", tmp_path)).find(name) is None


async def test_a_checkpoint_is_read_again_only_when_a_file_of_it_changed(tmp_path):
    library, path = Library((tmp_path,)), write(tmp_path, "a")
    first = await library.find("a")
    assert await library.find("a") is first
    (path / "config.json").write_text(json.dumps(CONFIG | {"max_position_embeddings": 64}))
    assert (await library.find("a")).context_length == 64
    (path / "model.safetensors").unlink()
    assert await library.find("a") is None
