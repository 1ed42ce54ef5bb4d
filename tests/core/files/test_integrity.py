"""Whether a model's files are all there, whole, and the right ones."""

import hashlib
import shutil
from pathlib import Path

import pytest

from orac_core.errors import ModelFileInvalid
from orac_core.files import check, read_header
from tests.raw_gguf import Raw
from tests.tiny_models import write


def split(folder: Path, name: str = "m") -> list[Path]:
    write(folder, "tiny-qwen3-0.6b", stem=name, parts=3)
    return sorted(folder.glob(f"{name}-*"))


def problem(parts, checksum=None) -> str:
    with pytest.raises(ModelFileInvalid) as caught:
        check(parts, checksum)
    return caught.value.problem


def test_a_whole_file_passes_and_its_header_comes_back(tmp_path):
    path = write(tmp_path, "tiny-phi2")

    assert check([path]) == read_header(path)


def test_a_split_model_has_the_amounts_of_all_its_parts(tmp_path):
    whole = check([write(tmp_path, "tiny-qwen3-0.6b")])

    header = check(split(tmp_path))

    assert header.parameters == whole.parameters
    assert header.tensor_bytes == whole.tensor_bytes
    assert header.tensor_count == whole.tensor_count
    assert (header.architecture, header.layers) == ("qwen3", 2)
    assert header.needed_bytes == sum(part.stat().st_size for part in split(tmp_path))


def test_a_split_model_has_the_shape_of_the_whole_one(tmp_path):
    whole = write(tmp_path, "tiny-qwen3-0.6b", stem="whole")
    parts = split(tmp_path)

    assert check(parts).shape == check([whole]).shape
    assert check(parts).weights == check([whole]).weights
    assert read_header(parts[1]).shape is None


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_missing_part_is_named(tmp_path, number):
    parts = split(tmp_path)
    gone = parts.pop(number - 1)

    assert problem(parts) == f"part {number} of 3 is missing ({gone.name})"


def test_a_part_cut_short_is_refused(tmp_path):
    parts = split(tmp_path)
    parts[2].write_bytes(parts[2].read_bytes()[:-40])

    assert problem(parts).startswith("truncated")


def test_a_part_under_the_name_of_another_is_refused(tmp_path):
    parts = split(tmp_path)
    shutil.copy(parts[0], parts[1])

    assert "by its header it is part 1 of 3" in problem(parts)


def test_a_part_that_was_renamed_to_a_whole_model_is_refused(tmp_path):
    renamed = split(tmp_path)[0].rename(tmp_path / "m.gguf")

    assert "by its name part 1 of 1" in problem([renamed])


def test_a_split_into_one_is_whole(tmp_path):
    path = write(tmp_path, "tiny-phi2", stem="m-00001-of-00001")

    assert check([path]).architecture == "phi2"


def test_parts_with_an_ending_that_engines_do_not_find_are_refused(tmp_path):
    parts = [part.rename(part.with_suffix(".GGUF")) for part in split(tmp_path)]

    assert "ending .gguf" in problem(parts)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("general.architecture", "clip", "vision projector"),
        ("general.type", "mmproj", "vision projector"),
        ("general.type", "adapter", "LoRA"),
        ("general.type", "imatrix", "importance matrix"),
    ],
)
def test_a_file_that_only_helps_another_model_is_refused(tmp_path, key, value, said):
    raw = Raw() if key == "general.architecture" else Raw().text("general.architecture", "llama")

    path = raw.text(key, value).tensor("a", 32).write(tmp_path / "m.gguf")

    assert said in problem([path])


def test_a_split_model_without_any_tensor_is_refused(tmp_path):
    raw = Raw().text("general.architecture", "llama").u32("split.count", 2)
    parts = [raw.write(tmp_path / "m-00001-of-00002.gguf")]
    other = Raw().u32("split.no", 1).u32("split.count", 2)
    parts.append(other.write(tmp_path / "m-00002-of-00002.gguf"))

    assert problem(parts) == "it has no tensors"


class TestChecksum:
    @pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5"])
    def test_the_right_one_passes_in_any_letter_case(self, tmp_path, algorithm):
        path = write(tmp_path, "tiny-phi2")
        digits = hashlib.new(algorithm, path.read_bytes()).hexdigest()

        check([path], f"{algorithm}:{digits}")
        check([path], f"{algorithm}:{digits.upper()}")

    def test_a_wrong_one_shows_what_was_expected_and_found_in_short(self, tmp_path):
        path = write(tmp_path, "tiny-phi2")
        found = hashlib.sha256(path.read_bytes()).hexdigest()

        said = problem([path], "sha256:1234abcd" + "0" * 56)

        assert f"expected 1234abcd…, found {found[:8]}…" in said
        assert said.startswith("checksum")
        assert found not in said

    def test_that_of_a_split_model_is_of_its_parts_put_together(self, tmp_path):
        parts = split(tmp_path)
        together = b"".join(part.read_bytes() for part in parts)

        check(parts, f"sha256:{hashlib.sha256(together).hexdigest()}")

    @pytest.mark.parametrize(
        "checksum",
        ["", "1234", "sha256:", "sha256:12", "sha256:" + "g" * 64, "sha512:" + "0" * 128, "a\nb:c"],
    )
    def test_one_of_no_known_form_is_refused_with_the_forms_there_are(self, tmp_path, checksum):
        said = problem([write(tmp_path, "tiny-phi2")], checksum)

        assert "sha256:" in said
        assert said.isprintable()
