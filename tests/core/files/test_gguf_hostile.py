"""Files that are no GGUF, are cut, or lie."""

import os
import struct
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from orac_core.errors import ModelFileInvalid
from orac_core.files import read_header
from tests.raw_gguf import ARRAY, BOOL, F32, STRING, U32, U64, Raw, items, text

MIB = 1024**2


def problem(path) -> str:
    with pytest.raises(ModelFileInvalid) as caught:
        read_header(path)
    assert caught.value.path == path
    assert caught.value.problem.isprintable()
    assert len(caught.value.problem) < 300
    return caught.value.problem


@pytest.fixture
def refused(tmp_path):
    def write_and_read(raw: Raw | bytes) -> str:
        path = tmp_path / "x.gguf"
        path.write_bytes(raw if isinstance(raw, bytes) else raw.build())
        return problem(path)

    return write_and_read


class TestNoGguf:
    def test_an_empty_file_is_called_empty(self, refused):
        assert refused(b"") == "the file is empty"

    @pytest.mark.parametrize("size", [3, 23])
    @pytest.mark.parametrize("start", [b"GGUF", b"xyz", b"\0"])
    def test_a_file_smaller_than_a_header_is_called_too_small_and_truncated(
        self, refused, size, start
    ):
        said = refused(start.ljust(size, b"\0")[:size])

        assert "too small" in said
        assert "truncated" in said

    @pytest.mark.parametrize(
        ("content", "named"),
        [
            (b"GGML" + bytes(60), "GGML"),
            (b"lmgg" + bytes(60), "GGML"),
            (b"gguf" + bytes(60), "small letters"),
            (b"PK\x03\x04" + bytes(60), "ZIP"),
            (b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>", "HTML"),
            (b"\xef\xbb\xbf\n <HTML lang='en'><head></head></html>", "HTML"),
            (b'{"error": "Entry not found in this repository"}', "JSON"),
            (b"\x80\x02" + bytes(60), "pickle"),
            (struct.pack("<Q", 90) + b'{"__metadata__":{"format":"pt"}}', "safetensors"),
            (bytes(4096), "zeros"),
            (b"\x7fELF" + bytes(60), "ELF"),
        ],
    )
    def test_a_file_of_another_kind_is_no_gguf_and_named(self, refused, content, named):
        said = refused(content)

        assert said.startswith("not a GGUF")
        assert named in said

    def test_a_git_lfs_pointer_is_named_with_what_to_do(self, refused):
        said = refused(
            b"version https://git-lfs.github.com/spec/v1\n"
            b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
            b"size 12345\n"
        )

        assert said.startswith("not a GGUF")
        assert "Git LFS pointer" in said
        assert "git lfs pull" in said

    @pytest.mark.parametrize("version", [0, 1, 4, 99, 2**32 - 1])
    def test_another_version_is_in_the_text(self, refused, version):
        raw = Raw.whole()
        raw.version = version

        assert f"version {version} " in refused(raw)

    def test_a_big_endian_file_is_called_so_with_its_version(self, refused):
        raw = Raw.whole()
        raw.version = 0x03000000

        said = refused(raw)

        assert "big-endian" in said
        assert "version 3" in said

    def test_a_folder_is_no_regular_file(self, tmp_path):
        assert problem(tmp_path) == "is no regular file"

    def test_a_named_pipe_is_refused_without_waiting_for_a_writer(self, tmp_path):
        os.mkfifo(tmp_path / "x.gguf")

        assert problem(tmp_path / "x.gguf") == "is no regular file"

    def test_a_file_that_is_not_there_is_gone(self, tmp_path):
        assert problem(tmp_path / "x.gguf") == "the file is gone"

    def test_a_link_in_a_circle_is_named(self, tmp_path):
        (tmp_path / "x.gguf").symlink_to("x.gguf")

        assert "symbolic link" in problem(tmp_path / "x.gguf")


class TestKeys:
    def test_a_key_that_stands_twice_is_refused(self, refused):
        said = refused(Raw.whole().u32("a.b", 1).u32("a.b", 1))

        assert said == "the key 'a.b' stands in it twice"

    @pytest.mark.parametrize("kind", [13, 77, 2**32 - 1])
    def test_an_unknown_value_type_is_refused_with_its_number(self, refused, kind):
        assert str(kind) in refused(Raw.whole().key("a.b", kind, bytes(8)))

    def test_an_unknown_type_of_a_list_is_refused_even_when_it_is_empty(self, refused):
        assert "77" in refused(Raw.whole().key("a.b", ARRAY, items(77, 0, b"")))

    @pytest.mark.parametrize("depth", [1, 10_000])
    def test_lists_of_lists_are_refused_however_deep(self, refused, depth):
        nested = struct.pack("<IQ", ARRAY, 1) * depth + items(U32, 1, bytes(4))

        assert "list of lists" in refused(Raw.whole().key("a.b", ARRAY, nested))

    @pytest.mark.parametrize("count", [2**24, 2**40, 2**63, 2**64 - 1])
    @pytest.mark.parametrize("kind", [U32, F32, STRING, U64])
    def test_a_list_longer_than_the_file_is_truncated(self, refused, kind, count):
        assert refused(Raw.whole().key("a.b", ARRAY, items(kind, count, bytes(16)))).startswith(
            "truncated"
        )

    @pytest.mark.parametrize("length", [1000, 2**31, 2**63, 2**64 - 1])
    def test_a_string_that_runs_over_the_end_is_truncated(self, refused, length):
        raw = Raw().key("general.architecture", STRING, struct.pack("<Q", length) + b"llama")

        assert refused(raw).startswith("truncated")

    @pytest.mark.parametrize("length", [1000, 2**63 - 9, 2**63, 2**64 - 1])
    def test_a_string_of_a_list_that_runs_over_the_end_is_truncated(self, refused, length):
        strings = text("a") + struct.pack("<Q", length) + bytes(32)

        assert refused(Raw.whole().key("a.b", ARRAY, items(STRING, 3, strings))).startswith(
            "truncated"
        )

    @pytest.mark.parametrize("length", [2**16, 2**62, 2**64 - 1])
    def test_a_key_that_runs_over_the_end_is_truncated(self, refused, length):
        raw = Raw()
        raw.key_count = 1

        assert refused(raw.header() + struct.pack("<Q", length) + bytes(100)).startswith(
            "truncated"
        )

    def test_an_empty_key_is_refused(self, refused):
        assert "0 bytes" in refused(Raw.whole().u32("", 1))

    def test_a_key_no_tool_would_write_is_refused(self, refused):
        assert "2000 bytes" in refused(Raw.whole().u32("k" * 2000, 1))

    def test_a_key_that_is_not_utf8_is_refused_and_escaped(self, refused):
        said = refused(Raw.whole().key(b"a\xff\n\x1b", U32, bytes(4)))

        assert "not UTF-8" in said
        assert "\\xff" in said

    def test_a_key_cannot_forge_a_line_of_the_log(self, refused):
        said = refused(Raw.whole().key("a\nlevel=error \x1b[31m\u202e" + "x" * 900, 77, b""))

        assert "\\n" in said
        assert len(said) < 150

    @pytest.mark.parametrize("value", [2, 255])
    def test_a_boolean_is_0_or_1(self, refused, value):
        assert f"boolean of {value}" in refused(Raw.whole().key("a.b", BOOL, bytes([value])))

    @pytest.mark.parametrize("count", [16_385, 2**32, 2**64 - 1])
    def test_more_keys_than_any_model_has_are_refused(self, refused, count):
        raw = Raw.whole()
        raw.key_count = count

        assert str(count) in refused(raw)

    def test_more_keys_than_the_file_can_hold_are_truncated(self, refused):
        raw = Raw.whole()
        raw.key_count = 1000

        assert refused(raw).startswith("truncated")

    def test_bytes_of_tensors_taken_for_keys_are_refused(self, refused):
        raw = Raw.whole()
        raw.key_count = 2

        refused(raw)


class TestValues:
    @pytest.mark.parametrize(
        "key",
        [
            "llama.context_length",
            "llama.block_count",
            "llama.attention.head_count",
            "llama.attention.head_count_kv",
            "llama.attention.key_length",
            "llama.attention.sliding_window",
            "llama.vocab_size",
            "general.alignment",
            "general.file_type",
            "split.count",
        ],
    )
    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            (STRING, text("4096")),
            (F32, struct.pack("<f", 4096.0)),
            (BOOL, b"\1"),
            (ARRAY, items(STRING, 1, text("4096"))),
            (5, struct.pack("<i", -1)),
            (U64, struct.pack("<Q", 2**64 - 1)),
            (F32, struct.pack("<f", float("nan"))),
        ],
    )
    def test_a_number_of_the_wrong_type_or_size_is_refused_with_its_key(
        self, refused, key, kind, value
    ):
        assert key in refused(Raw.whole().key(key, kind, value))

    @pytest.mark.parametrize(
        "key",
        [
            "general.name",
            "general.type",
            "tokenizer.ggml.model",
            "tokenizer.ggml.tokens",
            "tokenizer.chat_template",
        ],
    )
    def test_a_number_in_the_place_of_a_text_is_refused_with_its_key(self, refused, key):
        assert key in refused(Raw.whole().u32(key, 1))

    @pytest.mark.parametrize(
        "key", ["llama.context_length", "llama.block_count", "llama.embedding_length"]
    )
    def test_a_size_of_0_that_engines_crash_on_is_refused(self, refused, key):
        assert refused(Raw.whole().u32(key, 0)) == f"{key!r} is 0"

    @pytest.mark.parametrize("alignment", [0, 3, 33, 2**32 - 1])
    def test_an_alignment_that_is_no_power_of_two_is_refused(self, refused, alignment):
        said = refused(Raw.whole().u32("general.alignment", alignment))

        assert f"is {alignment}" in said

    def test_an_alignment_larger_than_the_file_is_truncated(self, refused):
        assert refused(Raw.whole().u32("general.alignment", 2**31)).startswith("truncated")

    def test_a_list_of_heads_for_more_layers_than_there_are_is_refused(self, refused):
        raw = Raw.whole().key(
            "llama.attention.head_count", ARRAY, items(U32, 5000, bytes(4 * 5000))
        )

        assert "head_count" in refused(raw)

    @pytest.mark.parametrize("architecture", ["", "\x1b[2J", "\n"])
    def test_an_architecture_that_says_nothing_is_refused(self, refused, architecture):
        raw = Raw().text("general.architecture", architecture).tensor("a", 32)

        assert "general.architecture" in refused(raw)

    def test_a_missing_architecture_is_refused_as_no_engine_can_load_it(self, refused):
        assert "general.architecture is missing" in refused(Raw().tensor("a", 32))

    def test_a_file_without_tensors_is_refused_as_no_engine_can_load_it(self, refused):
        assert "no tensors" in refused(Raw().text("general.architecture", "llama"))

    def test_a_part_beyond_the_number_of_parts_is_refused(self, refused):
        said = refused(Raw.whole().u32("split.no", 3).u32("split.count", 3))

        assert said == "it says it is part 4 of 3"


class TestTensors:
    def test_a_tensor_that_stands_twice_is_refused(self, refused):
        assert refused(Raw.whole().tensor("a", 32)) == "the tensor 'a' stands in it twice"

    def test_a_file_one_byte_shorter_than_its_tensors_demand_is_truncated(self, refused):
        raw = Raw.whole().build()

        assert refused(raw[:-1]).startswith("truncated")

    def test_rows_that_are_no_whole_blocks_are_refused(self, refused):
        said = refused(Raw.whole().tensor("b", 33, kind=2))

        assert "33" in said
        assert "Q4_0" in said

    def test_a_bad_row_is_not_made_good_by_the_other_dimensions(self, refused):
        assert "Q4_0" in refused(Raw.whole().tensor("b", 16, 2, kind=2))

    @pytest.mark.parametrize("kind", [4, 5, 31, 36, 38, 43, 77, 2**32 - 1])
    def test_a_tensor_type_that_is_unknown_or_given_up_is_refused_with_its_number(
        self, refused, kind
    ):
        assert str(kind) in refused(Raw.whole().tensor("b", 32, kind=kind))

    @pytest.mark.parametrize("count", [5, 1000, 2**32 - 1])
    def test_more_than_four_dimensions_are_refused(self, refused, count):
        entry = text("b") + struct.pack("<I", count) + bytes(64)
        raw = Raw.whole()
        raw.tensor_count = 2

        assert f"{count} dimensions" in refused(raw.header() + entry)

    @pytest.mark.parametrize("dimensions", [(0,), (32, 0), (32, 1, 1, 0), (2**63, 0)])
    def test_a_dimension_of_0_is_refused(self, refused, dimensions):
        assert "dimension of 0" in refused(Raw.whole().tensor("b", *dimensions))

    @pytest.mark.parametrize(
        "dimensions",
        [(2**62,), (2**63, 2**63), (2**32, 2**32), (2**64 - 1,) * 4, (2**31, 2**31, 2, 4)],
    )
    @pytest.mark.parametrize("kind", [0, 24])
    def test_a_product_of_dimensions_that_overflows_is_truncated(self, refused, dimensions, kind):
        assert refused(Raw.whole().tensor("b", *dimensions, kind=kind)).startswith("truncated")

    @pytest.mark.parametrize("offset", [2**20, 2**40, 2**63, 2**64 - 32])
    def test_an_offset_outside_the_file_is_truncated(self, refused, offset):
        raw = Raw.whole()
        entry = text("b") + struct.pack("<IQIQ", 1, 32, 0, offset)
        raw.tensor_count = 2

        assert refused(raw.header() + entry + bytes(1024)).startswith("truncated")

    def test_an_offset_off_the_alignment_is_refused(self, refused):
        assert "alignment" in refused(Raw.whole().tensor("b", 32, offset=132))

    def test_tensors_that_overlap_are_refused(self, refused):
        assert "overlaps" in refused(Raw.whole().tensor("b", 32, offset=96))

    def test_a_name_longer_than_engines_take_is_refused(self, refused):
        assert "64 bytes" in refused(Raw.whole().tensor("n" * 64, 32))

    def test_a_name_that_is_not_utf8_is_refused(self, refused):
        assert "not UTF-8" in refused(Raw.whole().tensor(b"\xff", 32))

    @pytest.mark.parametrize("count", [65_537, 2**64 - 1])
    def test_more_tensors_than_any_model_has_are_refused(self, refused, count):
        raw = Raw.whole()
        raw.tensor_count = count

        assert str(count) in refused(raw)

    def test_more_tensors_than_the_file_can_hold_are_truncated(self, refused):
        raw = Raw.whole()
        raw.tensor_count = 60_000

        assert refused(raw).startswith("truncated")


class TestBounds:
    """The most that a file of any size can make the reader do."""

    @staticmethod
    def sparse(path, start: bytes, size: int):
        with path.open("wb") as file:
            file.write(start)
            file.truncate(size)
        return path

    @staticmethod
    def cost(path) -> tuple[float, int]:
        """Seconds and bytes that reading takes, whatever comes of it.

        It is read twice, as counting the bytes takes longer than reading.
        """
        begin = time.perf_counter()
        with suppress(ModelFileInvalid):
            read_header(path)
        took = time.perf_counter() - begin
        tracemalloc.start()
        with suppress(ModelFileInvalid):
            read_header(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return took, peak

    def test_a_billion_empty_strings_are_refused_before_they_are_walked_over(self, tmp_path):
        raw = Raw.whole().key("a.b", ARRAY, items(STRING, 2**30, b""))
        path = self.sparse(tmp_path / "x.gguf", raw.header(), 16 * 1024**3)

        assert "more than 4000000 strings" in problem(path)

    def test_the_most_strings_that_are_walked_over_are_bearable(self, tmp_path):
        raw = Raw.whole().key("a.b", ARRAY, items(STRING, 4_000_000, b""))
        path = self.sparse(tmp_path / "x.gguf", raw.header(), 1024**3)

        took, peak = self.cost(path)

        assert took < 5
        assert peak < 5 * MIB

    def test_a_header_longer_than_any_real_one_is_refused(self, tmp_path):
        raw = Raw().key("a.b", STRING, struct.pack("<Q", 300 * MIB))
        path = self.sparse(tmp_path / "x.gguf", raw.header(), 1024**3)

        assert "longer than 256 MiB" in problem(path)

    def test_the_most_keys_of_the_greatest_length_are_bearable(self, tmp_path):
        raw = Raw.whole()
        for number in range(16_383):
            raw.key(f"{number:01024}", BOOL, b"\0")
        path = raw.write(tmp_path / "x.gguf")

        took, peak = self.cost(path)

        assert took < 5
        assert peak < 100 * MIB

    def test_the_most_tensors_are_bearable(self, tmp_path):
        raw = Raw.whole()
        for number in range(65_535):
            raw.tensor(f"{number:063}", 1, 1, 1, 1)
        path = raw.write(tmp_path / "x.gguf")

        took, peak = self.cost(path)

        assert took < 5
        assert peak < 100 * MIB


def test_reading_leaves_no_file_open(tmp_path):
    path = tmp_path / "x.gguf"
    path.write_bytes(Raw.whole().build()[:-1])
    open_files = Path("/proc/self/fd")
    before = {file.name for file in open_files.iterdir()}

    problem(path)

    assert {file.name for file in open_files.iterdir()} <= before
