"""Adapters on the disk: what they say of themselves, whether they fit, where they are found."""

import json
import os
import tomllib
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core import ModelFileInvalid
from orac_core.files import Adapters, ModelFiles, Place
from orac_core.files.adapter_file import AdapterFile, misfit, read_adapter
from orac_core.files.adapter_registry import MAX_BYTES, claimed, registered
from orac_core.files.adapters import BaseModel
from orac_core.files.malformed import Malformed
from orac_core.manifest import AdapterSettings
from tests.raw_gguf import Raw
from tests.tiny_adapters import write_adapter
from tests.tiny_models import write

MODEL = "tiny-qwen3-0.6b"
GOOD = {
    "name": "robot",
    "file": "robot.gguf",
    "checksum": f"sha256:{'a' * 64}",
    "base_architecture": "qwen3",
}


def file_of(tensors, architecture="qwen3"):
    return AdapterFile(Path("x.gguf"), architecture, tensors, 0)


def test_an_adapter_is_read_with_its_tensors_and_their_size(tmp_path):
    found = read_adapter(write_adapter(tmp_path / "lora.gguf"))
    assert found.architecture == "qwen3"
    assert found.tensors == {
        "blk.0.attn_output.weight.lora_a": (64, 4),
        "blk.0.attn_output.weight.lora_b": (4, 32),
    }
    assert found.size_bytes == 4 * (64 * 4 + 4 * 32)


def raw(*tensors):
    file = Raw().text("general.architecture", "qwen3").text("general.type", "adapter")
    file = file.text("adapter.type", "lora")
    for name, *lengths in tensors:
        file = file.tensor(name, *lengths)
    return file


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ([("a.weight.lora_a", 64, 4)], "lacks the other one of its pair"),
        ([("a.weight.lora_b", 4, 64)], "lacks the other one of its pair"),
        ([("a.weight", 64, 4)], "belongs to no LoRA adapter"),
        ([("a.lora_a", 64), ("a.lora_b", 4, 64)], "is no matrix"),
        ([("attn_norm.weight", 64)], "has no tensors of a LoRA adapter"),
    ],
)
def test_what_is_no_pair_of_matrices_is_refused(tmp_path, tensors, problem):
    path = tmp_path / "lora.gguf"
    path.write_bytes(raw(*tensors).build())
    with pytest.raises(ModelFileInvalid, match=problem):
        read_adapter(path)


def test_a_table_of_tokens_is_adapted_the_other_way_round():
    adapter = file_of({"token_embd.weight.lora_a": (4, 100), "token_embd.weight.lora_b": (4, 32)})
    assert misfit(adapter, "qwen3", {"token_embd.weight": (32, 100)}) is None
    assert misfit(adapter, "qwen3", {"token_embd.weight": (100, 32)})


sizes = st.integers(1, 64)


@given(row=sizes, rows=sizes, rank=sizes, other=st.tuples(sizes, sizes))
def test_matrices_fit_just_the_tensor_of_their_lengths(row, rows, rank, other):
    adapter = file_of({"x.lora_a": (row, rank), "x.lora_b": (rank, rows)})
    assert misfit(adapter, None, None) is None
    assert (misfit(adapter, "qwen3", {"x": other}) is None) == (other == (row, rows))
    assert misfit(adapter, "qwen3", {"y": (row, rows)}) is not None
    assert misfit(adapter, "llama", {"x": (row, rows)}) is not None


@given(row=sizes, rows=sizes, one=sizes, two=sizes)
def test_a_pair_of_different_ranks_fits_nothing(row, rows, one, two):
    adapter = file_of({"x.lora_a": (row, one), "x.lora_b": (two, rows)})
    assert (misfit(adapter, None, {"x": (row, rows)}) is None) == (one == two)


# The registry


def test_a_manifest_is_read_with_all_that_it_says():
    said = claimed(
        {**GOOD, "base_checksum": GOOD["checksum"], "created": "2026-11-21T12:00:00Z"}, Path("/r")
    )
    assert (said.name, said.path, said.base_architecture) == (
        "robot",
        Path("/r/robot.gguf"),
        "qwen3",
    )
    assert (said.created, said.base_checksum) == ("2026-11-21T12:00:00Z", GOOD["checksum"])


def test_every_mistake_is_named_at_once():
    wrong = {
        "name": 3,
        "file": "../robot.gguf",
        "checksum": "md5:1",
        "colour": "red",
        "created": "?",
    }
    with pytest.raises(Malformed) as error:
        claimed(wrong, Path("/r"))
    for word in (
        "extra key 'colour'",
        "lacks `base_architecture`",
        "`name` must be text",
        "`file` must be the name of a file in the same folder",
        "`checksum` must be sha256:",
        "`created` must be a time",
    ):
        assert word in str(error.value)


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@given(
    data=anything
    | st.dictionaries(st.sampled_from([*GOOD, "created", "base_checksum", "x"]), anything)
)
def test_whatever_a_manifest_holds_is_understood_or_refused_in_words(data):
    try:
        found = claimed(data, Path("/r"))
        assert found.path.parent == Path("/r")
    except Malformed as error:
        problem = str(error)
        assert problem.isprintable()


@given(raw=st.binary(max_size=200), ending=st.sampled_from([".json", ".toml"]))
def test_whatever_lies_in_the_folder_is_an_entry_with_a_problem(tmp_path_factory, raw, ending):
    folder = tmp_path_factory.mktemp("registry")
    (folder / f"x{ending}").write_bytes(raw)
    (entry,) = registered(folder)
    assert entry.problem.startswith("its manifest is wrong")
    assert entry.problem.isprintable()


def test_a_folder_shows_each_adapter_and_what_is_wrong_with_it(tmp_path):
    adapter = write_adapter(tmp_path / "robot.gguf")
    (tmp_path / "robot.json").write_text(json.dumps(GOOD))
    (tmp_path / "twin.json").write_text(json.dumps(GOOD))
    (tmp_path / "large.json").write_text(" " * (MAX_BYTES + 1))
    lost = "\n".join(f'{key} = "{text}"' for key, text in {**GOOD, "name": "lost"}.items())
    dated = lost.replace("robot.gguf", "no.gguf") + "\ncreated = 2026-11-21"
    assert tomllib.loads(dated)
    (tmp_path / "lost.toml").write_text(dated)
    (tmp_path / "llama.json").write_text(
        json.dumps({**GOOD, "name": "llama", "base_architecture": "llama"})
    )
    found = {it.name: it for it in registered(tmp_path)}
    assert found["robot"].problem is None
    assert found["robot"].path == adapter
    assert "larger than" in found["large.json"].problem
    assert found["lost"].problem == "no.gguf: the file is gone"
    assert found["lost"].created == "2026-11-21"
    assert "of the architecture 'qwen3', and this one is of 'llama'" in found["llama"].problem
    assert "another manifest" in found["twin.json"].problem
    assert registered(tmp_path / "nowhere") == ()


# Found by its name


@pytest.fixture
def places(tmp_path):
    model = write(tmp_path / "models" / "qwen", MODEL)
    files = ModelFiles((Place(tmp_path / "models", "a test"),))
    return Adapters(files, tmp_path / "registry"), BaseModel("qwen3", model)


async def found(places, name, **rest):
    adapters, base = places
    return await adapters.examined(AdapterSettings(name, **rest), base)


async def test_a_name_is_looked_for_in_the_registry_beside_the_model_and_on_the_search_path(
    places, tmp_path
):
    last = write_adapter(tmp_path / "models" / "lora.gguf", seed=1)
    assert (await found(places, "lora")).path == str(last)
    beside = write_adapter(tmp_path / "models" / "qwen" / "lora.gguf", seed=2)
    assert (await found(places, "lora.gguf")).path == str(beside)
    first = write_adapter(tmp_path / "registry" / "lora.gguf", seed=3)
    assert (await found(places, "lora")).path == str(first)
    assert (await found(places, str(last))).path == str(last)
    adapter = await found(places, str(beside), scale=0.5)
    assert (adapter.scale, adapter.size_bytes) == (0.5, 1536)
    assert adapter.sha256 == sha256(beside.read_bytes()).hexdigest()


async def test_one_that_is_nowhere_is_refused_with_the_places(places, tmp_path):
    with pytest.raises(ModelFileInvalid, match=f"no: .* looked in {tmp_path}/registry, "):
        await found(places, "no")
    with pytest.raises(ModelFileInvalid, match="looked at that path, /no/such.gguf; put it there"):
        await found(places, "/no/such.gguf")


async def test_one_whose_manifest_is_wrong_is_refused_with_its_mistake(places, tmp_path):
    (tmp_path / "registry").mkdir(exist_ok=True)
    (tmp_path / "registry" / "robot.json").write_text('{"name": "robot"}')
    wrong = "robot: robot.json is there, and its manifest is wrong: lacks `file`.*; correct it"
    with pytest.raises(ModelFileInvalid, match=wrong):
        await found(places, "robot")


def enter(tmp_path, **facts):
    path = write_adapter(tmp_path / "registry" / "robot.gguf")
    checksum = f"sha256:{sha256(path.read_bytes()).hexdigest()}"
    said = {**GOOD, "checksum": checksum, **facts}
    (tmp_path / "registry" / "robot.json").write_text(json.dumps({**said, "name": "my robot"}))
    return path


async def test_the_name_in_the_registry_means_its_file(places, tmp_path):
    path = enter(tmp_path)
    assert (await found(places, "my robot")).path == str(path)
    (entry,) = await places[0].registered()
    assert (entry.name, entry.problem) == ("my robot", None)


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"checksum": GOOD["checksum"]}, "checksum sha256: expected aaaaaaaa"),
        ({"base_architecture": "llama"}, "architecture"),
    ],
)
async def test_what_the_registry_says_is_held_against_the_file(places, tmp_path, facts, problem):
    enter(tmp_path, **facts)
    with pytest.raises(ModelFileInvalid, match=problem):
        await found(places, "my robot")


async def test_an_adapter_for_one_file_is_put_on_no_other(places, tmp_path):
    enter(tmp_path, base_checksum=f"sha256:{'b' * 64}")
    adapters, base = places
    wish = AdapterSettings("my robot")
    assert await adapters.examined(wish, base)
    other = BaseModel(base.architecture, base.path, "c" * 64)
    with pytest.raises(ModelFileInvalid, match="base_checksum"):
        await adapters.examined(wish, other)
    assert "base_checksum" in (await adapters.look(wish, other)).problem


async def test_a_split_model_is_compared_by_all_its_parts(tmp_path):
    model = write(tmp_path, MODEL, parts=3)
    write_adapter(tmp_path / "lora.gguf", tensors={"blk.1.ffn_up.weight": (32, 96)})
    adapters = Adapters(ModelFiles((Place(tmp_path, "a test"),)))
    found = await adapters.examined(AdapterSettings("lora"), BaseModel("qwen3", model))
    assert found.size_bytes > 0


async def test_what_can_not_be_read_now_is_looked_at_again(places, tmp_path):
    path = write_adapter(tmp_path / "registry" / "lora.gguf")
    other = write_adapter(tmp_path / "other.gguf", architecture="llama")
    assert (await places[0].look(AdapterSettings("lora"), places[1])).problem is None
    os.replace(other, path)  # noqa: PTH105
    told = await places[0].look(AdapterSettings("lora"), places[1])
    assert "architecture 'llama'" in told.problem
    path.unlink()
    told = await places[0].look(AdapterSettings("lora"), places[1])
    assert "the adapter is not there" in told.problem


async def test_a_checksum_of_another_kind_is_computed_too(places, tmp_path):
    write_adapter(tmp_path / "registry" / "lora.gguf")
    with pytest.raises(ModelFileInvalid, match="checksum md5: expected 00000000"):
        await found(places, "lora", checksum=f"md5:{'0' * 32}")
