"""What is read from the header of a whole file."""

import struct

import gguf
import numpy as np
import pytest

from orac_core.files import read_header
from tests.raw_gguf import ARRAY, BOOL, F32, I32, U16, U32, U64, Raw, items
from tests.tiny_models import CHATML, TINY_MODELS, write, write_big_vocabulary


@pytest.mark.parametrize("model", TINY_MODELS, ids=lambda model: model.name)
def test_every_tiny_model_is_described_as_it_was_written(tmp_path, model):
    path = write(tmp_path, model.name)

    header = read_header(path)

    assert header.version == 3
    assert header.architecture == model.architecture
    assert header.name == f"{model.stands_for} in small, with random weights"
    assert header.quantization == "F16"
    assert header.context_length == model.context_length
    assert (header.layers, header.heads, header.kv_heads) == (2, 4, model.kv_heads)
    assert header.embedding_length == model.width
    assert header.tokenizer == ("llama" if model.architecture == "llama" else "gpt2")
    assert header.has_chat_template is (model.chat_template is not None)
    assert header.warnings == ()


def test_sizes_agree_with_the_file(tmp_path):
    path = write(tmp_path, "tiny-tinyllama")

    header = read_header(path)

    assert header.needed_bytes == path.stat().st_size
    assert header.data_offset + header.tensor_bytes <= header.needed_bytes
    assert header.parameters == sum(t.n_elements for t in gguf.GGUFReader(path).tensors)


def test_version_2_is_read_as_version_3_is(tmp_path):
    raw = Raw.whole()
    raw.version = 2

    assert read_header(raw.write(tmp_path / "a.gguf")).version == 2


def test_a_header_that_says_little_is_read_with_none_for_the_rest(tmp_path):
    header = read_header(Raw.whole().write(tmp_path / "a.gguf"))

    assert header.parameters == 32
    assert header.quantization == "F32"
    assert header.name is None
    assert header.layers is None
    assert header.kv_heads is None
    assert header.vocabulary_size is None
    assert header.split_count is None
    assert header.warnings == ("it does not say its context length ('llama.context_length')",)


@pytest.mark.parametrize(
    ("file_type", "expected"),
    [(15, "Q4_K_M"), (1024 | 7, "Q8_0"), (38, "MXFP4_MOE"), (9999, "F32")],
)
def test_the_file_type_names_the_quantization_and_the_tensors_do_when_it_is_unknown(
    tmp_path, file_type, expected
):
    raw = Raw.whole().u32("general.file_type", file_type)

    assert read_header(raw.write(tmp_path / "a.gguf")).quantization == expected


def test_without_a_file_type_the_tensor_type_that_takes_most_bytes_names_the_quantization(tmp_path):
    raw = Raw.whole().tensor("b", 256, 64, kind=12).tensor("c", 64)

    assert read_header(raw.write(tmp_path / "a.gguf")).quantization == "Q4_K"


def test_layers_with_different_numbers_of_heads_are_told_apart(tmp_path):
    raw = Raw.whole()
    raw.key("llama.attention.head_count", ARRAY, items(I32, 3, struct.pack("<3i", 8, 4, 8)))
    raw.key("llama.attention.head_count_kv", ARRAY, items(U32, 3, struct.pack("<3I", 2, 0, 4)))

    header = read_header(raw.write(tmp_path / "a.gguf"))

    assert (header.heads, header.kv_heads) == (8, 4)
    assert header.kv_heads_by_layer == (2, 0, 4)


def test_a_list_of_equal_numbers_of_heads_is_one_number(tmp_path):
    raw = Raw.whole()
    raw.key("llama.attention.head_count_kv", ARRAY, items(U32, 2, struct.pack("<2I", 2, 2)))

    header = read_header(raw.write(tmp_path / "a.gguf"))

    assert (header.kv_heads, header.kv_heads_by_layer) == (2, ())


def test_heads_for_keys_and_values_are_all_heads_when_the_file_does_not_say(tmp_path):
    raw = Raw.whole().u32("llama.attention.head_count", 12)

    assert read_header(raw.write(tmp_path / "a.gguf")).kv_heads == 12


def test_no_heads_are_none_so_that_nothing_divides_by_them(tmp_path):
    raw = Raw.whole().u32("llama.attention.head_count", 0)

    header = read_header(raw.write(tmp_path / "a.gguf"))

    assert (header.heads, header.kv_heads) == (None, None)


def test_keys_count_whatever_order_they_come_in(tmp_path):
    raw = Raw().u32("llama.context_length", 77).text("general.architecture", "llama")

    path = raw.tensor("a", 32).write(tmp_path / "a.gguf")

    assert read_header(path).context_length == 77


def test_the_width_of_heads_and_the_window_are_read(tmp_path):
    raw = Raw.whole().u32("llama.attention.key_length", 96).u32("llama.attention.value_length", 64)
    raw.u32("llama.attention.sliding_window", 4096)

    header = read_header(raw.write(tmp_path / "a.gguf"))

    assert (header.key_length, header.value_length, header.sliding_window) == (96, 64, 4096)


def test_whole_numbers_of_any_width_are_taken(tmp_path):
    raw = Raw.whole().key("llama.context_length", U64, struct.pack("<Q", 4096))
    raw.key("llama.block_count", U16, struct.pack("<H", 22))

    header = read_header(raw.write(tmp_path / "a.gguf"))

    assert (header.context_length, header.layers) == (4096, 22)


def test_the_vocabulary_is_counted_in_the_list_of_tokens(tmp_path):
    raw = Raw.whole().u32("llama.vocab_size", 9).strings("tokenizer.ggml.tokens", ["a", "", "ü"])

    assert read_header(raw.write(tmp_path / "a.gguf")).vocabulary_size == 3


def test_the_vocabulary_size_stands_in_for_a_missing_list_of_tokens(tmp_path):
    raw = Raw.whole().u32("llama.vocab_size", 9)

    assert read_header(raw.write(tmp_path / "a.gguf")).vocabulary_size == 9


def test_an_alignment_of_the_files_own_is_kept(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    writer.add_custom_alignment(4096)
    writer.add_tensor("a", np.zeros(3, np.float32))
    writer.add_tensor("b", np.zeros(3, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    header = read_header(tmp_path / "a.gguf")

    assert (header.data_offset, header.needed_bytes) == (4096, 8192 + 12)


def test_a_name_is_shortened_and_does_not_break_a_line(tmp_path):
    raw = Raw.whole().text("general.name", b"evil\x1b[2J\nlog \xff" + b"x" * 5000)

    name = read_header(raw.write(tmp_path / "a.gguf")).name

    assert name is not None
    assert name.isprintable()
    assert name.startswith("evil")
    assert len(name) == 200


def test_a_gap_between_tensors_is_accepted_with_a_warning(tmp_path):
    raw = Raw.whole().tensor("b", 32, offset=256)

    header = read_header(raw.write(tmp_path / "a.gguf"))

    assert header.needed_bytes == header.data_offset + 256 + 128
    assert "it has gaps between its tensors, which older engines refuse" in header.warnings


def test_a_single_weight_needs_no_dimension(tmp_path):
    raw = Raw.whole().tensor("scale")

    assert read_header(raw.write(tmp_path / "a.gguf")).parameters == 33


def test_bytes_behind_the_last_tensor_do_no_harm(tmp_path):
    path = tmp_path / "a.gguf"
    path.write_bytes(Raw.whole().build() + b"x" * 1000)

    assert read_header(path).tensor_count == 1


def test_the_first_part_of_a_split_model_may_hold_no_tensors(tmp_path):
    raw = Raw().text("general.architecture", "llama").u32("split.no", 0).u32("split.count", 2)

    header = read_header(raw.write(tmp_path / "a-00001-of-00002.gguf"))

    assert (header.split_no, header.split_count, header.tensor_count) == (0, 2, 0)


def test_a_later_part_of_a_split_model_may_leave_out_the_architecture(tmp_path):
    raw = Raw().u32("split.no", 1).u32("split.count", 2).tensor("a", 32)

    header = read_header(raw.write(tmp_path / "a-00002-of-00002.gguf"))

    assert (header.architecture, header.split_no) == (None, 1)


class TestChatTemplates:
    def test_a_template_of_one_megabyte_is_fine(self, tmp_path):
        path = write(tmp_path, "tiny-qwen3-0.6b", chat_template=CHATML + " " * 1_000_000)

        header = read_header(path)

        assert (header.has_chat_template, header.chat_template_suspicious) == (True, False)

    @pytest.mark.parametrize(
        "template",
        [
            "{{ ''.__class__.__mro__ }}",
            "{{ x|attr('\\x5f\\x5fglobals\\x5f\\x5f') }}",
            "{{ x['\\u005F'] }}",
        ],
    )
    def test_a_template_that_reaches_for_pythons_inside_is_flagged_and_not_run(
        self, tmp_path, template
    ):
        header = read_header(write(tmp_path, "tiny-qwen3-0.6b", chat_template=template))

        assert header.chat_template_suspicious
        assert any("chat template" in warning for warning in header.warnings)

    def test_the_text_of_a_template_is_not_kept(self, tmp_path):
        header = read_header(write(tmp_path, "tiny-qwen3-0.6b"))

        assert "im_start" not in repr(header)

    def test_a_second_template_is_looked_through_as_well(self, tmp_path):
        raw = Raw.whole().text("tokenizer.chat_template.tool_use", "{{ x.__globals__ }}")

        header = read_header(raw.write(tmp_path / "a.gguf"))

        assert (header.has_chat_template, header.chat_template_suspicious) == (False, True)

    def test_a_template_too_long_to_be_looked_through_is_suspicious(self, tmp_path):
        raw = Raw.whole().text("tokenizer.chat_template", " " * (4 * 1024**2 + 1))

        assert read_header(raw.write(tmp_path / "a.gguf")).chat_template_suspicious


def test_a_vocabulary_of_150_000_tokens_is_stepped_over(tmp_path):
    path = write_big_vocabulary(tmp_path)

    header = read_header(path)

    assert header.vocabulary_size == 150_000
    assert header.needed_bytes == path.stat().st_size


def test_lists_of_numbers_and_booleans_are_stepped_over(tmp_path):
    raw = Raw.whole().key("a.scores", ARRAY, items(F32, 100_000, bytes(400_000)))
    raw.key("a.flags", ARRAY, items(BOOL, 3, b"\0\1\0"))
    raw.u32("llama.context_length", 5)

    assert read_header(raw.write(tmp_path / "a.gguf")).context_length == 5


@pytest.mark.parametrize("model", TINY_MODELS, ids=lambda model: model.name)
def test_the_bytes_of_each_layer_are_those_of_its_tensors(tmp_path, model):
    path = write(tmp_path, model.name)
    tensors = {tensor.name: int(tensor.n_bytes) for tensor in gguf.GGUFReader(path).tensors}

    shape = read_header(path).shape

    for number, block in enumerate(shape.blocks):
        of_block = [size for name, size in tensors.items() if name.startswith(f"blk.{number}.")]
        assert block.weights_bytes == sum(of_block)
        assert block.key_width == block.value_width == model.kv_heads * 16
    assert shape.embedding_bytes == tensors["token_embd.weight"]
    assert shape.output_bytes == tensors.get("output.weight", 0)
    assert shape.is_tied is model.tied
    assert shape.weights_bytes == sum(tensors.values())


def test_the_shape_of_a_model_is_told_by_its_header(tmp_path):
    shape = read_header(write(tmp_path, "tiny-qwen3-1.7b")).shape

    assert (shape.embedding_width, shape.query_width) == (64, 64)
    assert shape.feed_forward_width == 3 * 192
    assert (shape.context_length, shape.vocabulary_size, shape.merges) == (512, 271, 12)


def test_which_layers_are_windowed_may_be_a_list_of_booleans(tmp_path):
    raw = Raw.whole().u32("llama.block_count", 3).u32("llama.embedding_length", 8)
    raw.u32("llama.attention.head_count", 2).u32("llama.attention.sliding_window", 64)
    raw.key("llama.attention.sliding_window_pattern", ARRAY, items(BOOL, 3, b"\1\0\1"))

    shape = read_header(raw.write(tmp_path / "a.gguf")).shape

    assert [block.window for block in shape.blocks] == [64, 0, 64]


def test_a_file_that_says_too_little_or_says_it_oddly_is_read_without_a_shape(tmp_path):
    bare, odd = Raw.whole(), Raw.whole().u32("llama.block_count", 1)
    odd.u32("llama.embedding_length", 8).u32("llama.attention.head_count", 2)
    odd.key("llama.feed_forward_length", F32, struct.pack("<f", 2.5))

    assert read_header(bare.write(tmp_path / "a.gguf")).shape is None
    assert read_header(odd.write(tmp_path / "b.gguf")).shape is None


def test_layers_with_absurd_numbers_are_counted_with_the_rest_and_take_no_room(tmp_path):
    raw = Raw.whole().tensor("blk.9999.a", 32).tensor("blk.99999999999.a", 32)
    raw.tensor("blk.4095.a", 32).tensor("blk.x.a", 32)

    weights = read_header(raw.write(tmp_path / "a.gguf")).weights

    assert len(weights.blocks) == 4096
    assert sum(weights.blocks) == 128
    assert weights.other == 4 * 128
