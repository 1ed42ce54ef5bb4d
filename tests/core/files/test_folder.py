"""What is found in a place, and what it is called."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from orac_core.files import Place, find
from orac_core.files.names import look_up, named


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def place(folder: Path, origin: str = "--models-dir") -> Place:
    return Place(folder, origin)


def found(folder: Path) -> list[str]:
    return [file_set.below for file_set in find(place(folder)).file_sets]


def ids(*folders: Path) -> dict[str, str]:
    """Id → path below the place."""
    table, _ = named(it for folder in folders for it in find(place(folder)).file_sets)
    return {name: file_set.below for name, file_set in table.items()}


class TestFind:
    def test_files_and_subfolders_are_searched_those_above_first(self, tmp_path):
        touch(tmp_path, "a/z.gguf", "b.gguf", "a/deep/er/y.gguf", "a.gguf")

        assert found(tmp_path) == ["a.gguf", "b.gguf", "a/z.gguf", "a/deep/er/y.gguf"]

    def test_the_ending_counts_in_capitals_and_small_letters(self, tmp_path):
        touch(tmp_path, "a.GGUF", "b.Gguf", "c.gguf.part", "d.bin", "gguf")

        assert found(tmp_path) == ["a.GGUF", "b.Gguf"]

    def test_hidden_files_and_folders_are_left_out(self, tmp_path):
        touch(tmp_path, ".trash/a.gguf", "._b.gguf", "c.gguf")

        assert found(tmp_path) == ["c.gguf"]

    def test_a_hidden_folder_that_is_named_as_a_place_is_searched(self, tmp_path):
        touch(tmp_path, ".models/a.gguf")

        assert found(tmp_path / ".models") == ["a.gguf"]

    def test_the_parts_of_a_split_model_are_one(self, tmp_path):
        touch(tmp_path, *(f"m-{number:05d}-of-00003.gguf" for number in (3, 1, 2)), "m2.gguf")

        (split, single) = find(place(tmp_path)).file_sets

        assert split.stem == "m"
        assert [part.name[2:7] for part in split.parts] == ["00001", "00002", "00003"]
        assert single.stem == "m2"

    def test_parts_of_different_models_and_folders_are_kept_apart(self, tmp_path):
        touch(
            tmp_path,
            "m-00001-of-00002.gguf",
            "m-00002-of-00003.gguf",
            "sub/m-00002-of-00002.gguf",
        )

        assert len(find(place(tmp_path)).file_sets) == 3

    @pytest.mark.parametrize(
        "name", ["m-00000-of-00002.gguf", "m-00003-of-00002.gguf", "m-1-of-2.gguf", "-of-.gguf"]
    )
    def test_what_only_looks_like_a_part_is_a_model_of_its_own(self, tmp_path, name):
        touch(tmp_path, name)

        assert find(place(tmp_path)).file_sets[0].stem == name.removesuffix(".gguf")

    def test_folders_that_link_in_circles_are_visited_once(self, tmp_path):
        touch(tmp_path, "a/m.gguf")
        (tmp_path / "a" / "up").symlink_to(tmp_path)
        (tmp_path / "again").symlink_to("a")
        (tmp_path / "self.gguf").symlink_to("self.gguf")

        assert found(tmp_path) == ["self.gguf", "a/m.gguf"]

    def test_links_to_files_and_folders_elsewhere_are_followed(self, tmp_path):
        touch(tmp_path / "disk", "m.gguf", "more/n.gguf")
        models = tmp_path / "models"
        models.mkdir()
        (models / "m.gguf").symlink_to(tmp_path / "disk" / "m.gguf")
        (models / "more").symlink_to(tmp_path / "disk" / "more")

        assert found(models) == ["m.gguf", "more/n.gguf"]

    def test_the_depth_is_bounded(self, tmp_path):
        touch(tmp_path, "/".join("abcdefgh") + "/in.gguf", "/".join("abcdefghi") + "/out.gguf")

        assert found(tmp_path) == ["a/b/c/d/e/f/g/h/in.gguf"]

    def test_the_number_of_entries_is_bounded_and_the_note_says_so(self, tmp_path):
        touch(tmp_path, *(f"{number}.gguf" for number in range(30)))

        contents = find(place(tmp_path), most_entries=20)

        assert len(contents.file_sets) == 20
        assert contents.note == "searched up to 20 files and folders, not all"

    def test_a_place_that_does_not_exist_says_so(self, tmp_path):
        contents = find(place(tmp_path / "none"))

        assert (contents.exists, contents.note) == (False, "does not exist")

    def test_a_place_that_is_a_file_says_so(self, tmp_path):
        touch(tmp_path, "m.gguf")

        assert find(place(tmp_path / "m.gguf")).note == "is no folder"

    def test_a_place_that_no_path_can_be_says_so(self):
        assert find(Place(Path("/a\0b"), "manifest models.paths")).note == "is no path"

    def test_an_empty_place_says_so(self, tmp_path):
        contents = find(place(tmp_path))

        assert (contents.exists, contents.note) == (True, "holds no .gguf files")

    def test_ollamas_own_store_is_named_as_such(self, tmp_path):
        touch(tmp_path, "blobs/sha256-abc", "manifests/registry/library/llama/latest")

        contents = find(place(tmp_path, "OLLAMA_MODELS"))

        assert contents.file_sets == ()
        assert contents.note is not None
        assert "Ollama's own blob store" in contents.note

    def test_ollamas_folder_is_searched_when_it_holds_gguf_files(self, tmp_path):
        touch(tmp_path, "blobs/sha256-abc", "mine/a.gguf")

        contents = find(place(tmp_path, "OLLAMA_MODELS"))

        assert [it.stem for it in contents.file_sets] == ["a"]
        assert contents.note is None

    def test_a_folder_that_cannot_be_read_does_not_stop_the_rest(self):
        # Permissions do not bind root, so this runs as somebody else.
        program = """
import os, sys
from pathlib import Path
from orac_core.files import Place, find
place = Place(Path(sys.argv[1]), "built-in")
os.geteuid() or os.setuid(65534)
contents = find(place)
print([it.below for it in contents.file_sets], contents.note)
print(find(Place(Path(sys.argv[1], "locked"), "built-in")).note)
"""
        with tempfile.TemporaryDirectory() as folder:
            touch(Path(folder), "a.gguf", "locked/b.gguf", "open/c.gguf")
            Path(folder).chmod(0o755)
            Path(folder, "locked").chmod(0)
            ran = subprocess.run(
                [sys.executable, "-c", program, folder],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            )

        assert ran.stderr == ""
        first, second = ran.stdout.splitlines()
        assert first.startswith("['a.gguf', 'open/c.gguf'] locked: permission denied")
        assert second.startswith("permission denied")


class TestNames:
    def test_a_model_is_called_by_its_stem(self, tmp_path):
        touch(tmp_path, "sub/Qwen3-0.6B-Q4_K_M.gguf")

        assert ids(tmp_path) == {"Qwen3-0.6B-Q4_K_M": "sub/Qwen3-0.6B-Q4_K_M.gguf"}

    def test_a_second_model_of_a_stem_has_its_path_with_the_ending(self, tmp_path):
        touch(tmp_path, "a.gguf", "sub/a.gguf")

        assert ids(tmp_path) == {"a": "a.gguf", "sub/a.gguf": "sub/a.gguf"}

    def test_endings_that_differ_only_in_letter_case_are_two_models(self, tmp_path):
        touch(tmp_path, "a.GGUF", "a.gguf")

        assert ids(tmp_path) == {"a": "a.gguf", "a.GGUF": "a.GGUF"}

    def test_stems_that_differ_only_in_letter_case_are_two_models(self, tmp_path):
        touch(tmp_path, "Model.gguf", "model.gguf")

        assert ids(tmp_path) == {"Model": "Model.gguf", "model": "model.gguf"}

    def test_the_first_place_wins_and_the_third_model_of_a_name_is_shadowed(self, tmp_path):
        folders = [tmp_path / name for name in "xyz"]
        for folder in folders:
            touch(folder, "a.gguf")

        table, shadowed = named(it for folder in folders for it in find(place(folder)).file_sets)

        assert table["a"].place.path == tmp_path / "x"
        assert table["a.gguf"].place.path == tmp_path / "y"
        assert [it.parts[0] for it in shadowed] == [tmp_path / "z" / "a.gguf"]

    def test_a_file_reached_by_two_places_is_one_model(self, tmp_path):
        touch(tmp_path / "disk", "a.gguf", "sub/b.gguf")
        (tmp_path / "link").symlink_to("disk")

        table = ids(tmp_path / "disk", tmp_path / "link", tmp_path / "disk" / "sub")

        assert table == {"a": "a.gguf", "b": "sub/b.gguf"}

    def test_a_link_under_another_name_is_a_model_of_its_own(self, tmp_path):
        touch(tmp_path, "long-name.gguf")
        (tmp_path / "alias.gguf").symlink_to("long-name.gguf")

        assert set(ids(tmp_path)) == {"long-name", "alias"}

    def test_a_name_that_does_not_print_is_shown_so_that_it_does(self, tmp_path):
        touch(tmp_path, "a\nb\x1b.gguf")
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.gguf")).write_bytes(b"")

        assert all(name.isprintable() for name in ids(tmp_path))
        assert len(ids(tmp_path)) == 2


class TestLookUp:
    def test_the_ending_is_optional_in_any_letter_case(self):
        table = {"a": 1, "sub/b.gguf": 2}

        assert [look_up(table, name) for name in ("a", "a.gguf", "a.GGUF")] == [1, 1, 1]
        assert [look_up(table, name) for name in ("sub/b.gguf", "sub/b")] == [2, 2]

    def test_an_exact_id_comes_before_one_without_its_ending(self):
        table = {"a": 1, "a.GGUF": 2, "a.gguf": 3}

        assert [look_up(table, name) for name in ("a", "a.GGUF", "a.gguf")] == [1, 2, 3]

    @pytest.mark.parametrize(
        "name",
        ["", ".", "..", ".gguf", "../a", "/etc/passwd", "a\0", "a/../a", "./a", "A", "a.gguf.gguf"],
    )
    def test_anything_else_is_nothing_whatever_lies_on_the_disk(self, name):
        assert look_up({"a": 1}, name) is None
