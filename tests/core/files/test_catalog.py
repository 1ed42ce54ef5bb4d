"""The models on the disk as a program sees them: always as they are now, never read twice."""

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from orac_core.errors import ModelFileInvalid
from orac_core.files import Hashing, ModelFile, ModelFiles, Place, catalog, find, remembered
from orac_core.files.gguf import read_header
from tests.raw_gguf import Raw
from tests.tiny_models import write


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def files(folder):
    return ModelFiles((Place(folder, "--models-dir"),))


@pytest.fixture
def headers_read(monkeypatch):
    """The paths whose headers were read, in order."""
    paths = []

    def read(path):
        paths.append(path)
        return read_header(path)

    monkeypatch.setattr(remembered, "read_header", read)
    return paths


async def the(files: ModelFiles, name: str) -> ModelFile:
    model = await files.find(name)
    assert model is not None
    return model


async def context_length(files: ModelFiles) -> int | None:
    header = (await the(files, "tiny-phi2")).header
    return header.context_length if header else None


async def ids(files: ModelFiles) -> list[str]:
    return [model.id for model in await files.all()]


class TestAll:
    async def test_a_model_is_listed_with_what_its_file_says(self, files, folder):
        path = write(folder / "sub", "tiny-phi2")

        (model,) = await files.all()

        assert (model.id, model.path, model.parts) == ("tiny-phi2", path, (path,))
        assert model.size_bytes == path.stat().st_size
        assert model.modified_at == pytest.approx(path.stat().st_mtime)
        assert model.header == read_header(path)
        assert model.problem is None
        assert model.place == Place(folder, "--models-dir")

    async def test_a_split_model_is_one_with_the_size_of_all_parts(self, files, folder):
        path = write(folder, "tiny-phi2", stem="m", parts=3)

        (model,) = await files.all()

        assert (model.id, model.path, len(model.parts)) == ("m", path, 3)
        assert model.size_bytes == sum(part.stat().st_size for part in folder.iterdir())
        assert model.header.parameters == 101_517

    async def test_broken_files_are_listed_with_their_problem_and_stop_nothing(self, files, folder):
        write(folder, "tiny-phi2")
        (folder / "empty.gguf").touch()
        (folder / "page.gguf").write_text("<!doctype html><title>404</title>")
        (folder / "gone.gguf").symlink_to("nowhere")
        os.mkfifo(folder / "pipe.gguf")

        problems = {model.id: model.problem for model in await files.all()}

        assert problems["tiny-phi2"] is None
        assert problems["empty"] == "the file is empty"
        assert "HTML" in problems["page"]
        assert problems["gone"] == "the file is gone"
        assert problems["pipe"] == "is no regular file"

    async def test_a_missing_part_is_named_in_the_list(self, files, folder):
        write(folder, "tiny-phi2", stem="m", parts=3)
        (folder / "m-00002-of-00003.gguf").unlink()

        (model,) = await files.all()

        assert model.problem == "part 2 of 3 is missing (m-00002-of-00003.gguf)"
        assert model.header is None

    async def test_a_broken_part_is_named_in_the_list(self, files, folder):
        write(folder, "tiny-phi2", stem="m", parts=3)
        (folder / "m-00002-of-00003.gguf").write_bytes(b"")

        (model,) = await files.all()

        assert model.problem == "m-00002-of-00003.gguf: the file is empty"

    async def test_a_vision_projector_is_listed_as_one_with_its_header(self, files, folder):
        Raw().text("general.architecture", "clip").tensor("a", 32).write(folder / "mmproj.gguf")

        (model,) = await files.all()

        assert "vision projector" in model.problem
        assert model.header.architecture == "clip"

    async def test_a_name_that_does_not_print_is_listed_and_refused(self, files, folder):
        write(folder, "tiny-phi2", stem="a\nb")

        (model,) = await files.all()

        assert model.id.isprintable()
        assert "rename" in model.problem
        with pytest.raises(ModelFileInvalid, match="rename") as caught:
            await files.validate(model)
        assert str(caught.value).isprintable()

    async def test_places_that_are_not_there_are_passed_over(self, folder):
        write(folder, "tiny-phi2")
        places = (Place(folder / "none", "built-in"), Place(folder, "built-in"))

        assert await ids(ModelFiles(places)) == ["tiny-phi2"]


class TestChanges:
    async def test_a_file_that_appears_is_noticed(self, files, folder):
        assert await files.all() == ()

        write(folder, "tiny-phi2")

        assert await ids(files) == ["tiny-phi2"]

    async def test_a_folder_that_appears_is_noticed(self, files, folder):
        folder.rmdir()
        assert await files.all() == ()

        write(folder, "tiny-phi2")

        assert await ids(files) == ["tiny-phi2"]

    async def test_a_file_that_vanishes_is_noticed(self, files, folder):
        write(folder, "tiny-phi2").unlink()
        await files.all()

        assert await files.find("tiny-phi2") is None

    async def test_a_file_that_changes_is_noticed(self, files, folder):
        path = write(folder, "tiny-phi2")
        assert await context_length(files) == 512

        write(folder, "tiny-phi2", context_length=64)
        os.utime(path, ns=(1, 1))

        assert await context_length(files) == 64

    async def test_a_broken_file_that_is_mended_is_noticed(self, files, folder):
        (folder / "tiny-phi2.gguf").write_bytes(b"")
        assert (await the(files, "tiny-phi2")).problem

        write(folder, "tiny-phi2")

        assert (await the(files, "tiny-phi2")).problem is None

    async def test_an_unchanged_file_is_read_once(self, files, folder, headers_read):
        write(folder, "tiny-phi2")
        write(folder, "tiny-pythia", stem="m", parts=3)
        (folder / "empty.gguf").touch()

        first = await files.all()
        again = await files.all()

        assert again == first
        assert len(headers_read) == 5

    async def test_only_the_file_that_changed_is_read_again(self, files, folder, headers_read):
        paths = [write(folder, "tiny-phi2", stem=stem) for stem in "abc"]
        await files.all()
        headers_read.clear()

        os.utime(paths[1], ns=(1, 1))
        await files.all()

        assert headers_read == [paths[1]]

    async def test_files_that_are_gone_are_not_remembered_for_ever(self, files, folder):
        for number in range(5):
            write(folder, "tiny-phi2", stem=str(number))
            await files.all()
            (folder / f"{number}.gguf").unlink()
        await files.all()
        await files.all()

        assert files._headers._before == {}

    def test_a_file_that_may_not_be_read_says_so_and_the_others_are_listed(self):
        # Permissions do not bind root, so this runs as somebody else.
        program = """
import asyncio, os, sys
from pathlib import Path
from orac_core.files import ModelFiles, Place

async def main():
    places = (Place(Path(sys.argv[1]), "built-in"),)
    await ModelFiles(places).all()  # imports what nobody else may import
    os.geteuid() or os.setuid(65534)
    files = ModelFiles(places)
    problems = {model.id: model.problem for model in await files.all()}
    print(problems)
    try:
        await files.validate(await files.find("locked"))
    except Exception as error:
        print(type(error).__name__, error)

asyncio.run(main())
"""
        with tempfile.TemporaryDirectory() as name:
            path = write(Path(name), "tiny-phi2", stem="locked")
            write(Path(name), "tiny-phi2", stem="open")
            Path(name).chmod(0o755)
            path.chmod(0)
            ran = subprocess.run(
                [sys.executable, "-c", program, name],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            )

        assert ran.stderr == ""
        listed, validated = ran.stdout.splitlines()
        assert "'locked': 'permission denied: " in listed
        assert "'open': None" in listed
        assert validated.startswith("ModelFileInvalid locked.gguf: permission denied")

    async def test_a_file_that_may_be_read_again_is_not_remembered_as_forbidden(
        self, files, folder, monkeypatch
    ):
        write(folder, "tiny-phi2")
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "no")))
            assert "permission denied" in str((await the(files, "tiny-phi2")).problem)

        assert (await the(files, "tiny-phi2")).problem is None


class TestTheEventLoop:
    async def test_200_models_are_read_in_another_thread_while_the_loop_goes_on(
        self, files, folder, monkeypatch
    ):
        path = write(folder, "tiny-phi2")
        for number in range(199):
            shutil.copy(path, folder / f"{number}.gguf")
        threads, beaten = set(), threading.Event()

        def read(path):
            threads.add(threading.get_ident())
            assert beaten.wait(timeout=30), "the loop stood still"
            return read_header(path)

        async def beat():
            beaten.set()

        monkeypatch.setattr(remembered, "read_header", read)

        models, _ = await asyncio.gather(files.all(), beat())

        assert len(models) == 200
        assert threading.get_ident() not in threads

    async def test_questions_at_the_same_time_share_one_scan(self, files, folder, monkeypatch):
        write(folder, "tiny-phi2")
        scanned = []

        def count(place):
            scanned.append(place)
            return find(place)

        monkeypatch.setattr(catalog, "find", count)

        answers = await asyncio.gather(
            *(files.all() for _ in range(10)), files.find("tiny-phi2"), files.looked_at("x")
        )

        assert len(scanned) == 1
        assert len({id(answer[0]) for answer in answers[:10]}) == 1

    async def test_a_question_during_a_scan_sees_what_has_appeared_since(
        self, files, folder, monkeypatch
    ):
        begun, goes_on = threading.Event(), threading.Event()

        def slow(place):
            contents = find(place)
            begun.set()
            assert goes_on.wait(timeout=30)
            return contents

        monkeypatch.setattr(catalog, "find", slow)
        early = asyncio.create_task(files.all())
        await asyncio.to_thread(begun.wait, 30)
        write(folder, "tiny-phi2")
        late = asyncio.create_task(files.all())
        goes_on.set()

        assert await early == ()
        assert [model.id for model in await late] == ["tiny-phi2"]

    async def test_one_who_stops_waiting_does_not_stop_the_scan_for_others(self, files, folder):
        write(folder, "tiny-phi2")
        impatient = asyncio.create_task(files.all())
        patient = asyncio.create_task(files.all())
        await asyncio.sleep(0)

        impatient.cancel()

        assert len(await patient) == 1
        assert impatient.cancelled()

    def test_a_scan_that_ended_with_its_loop_does_not_stop_the_next(self, files, folder):
        write(folder, "tiny-phi2")

        async def give_up():
            waiting = asyncio.create_task(files.all())
            await asyncio.sleep(0)
            assert not waiting.done()

        asyncio.run(give_up())

        assert len(asyncio.run(files.all())) == 1


class TestFind:
    async def test_the_ending_is_optional(self, files, folder):
        write(folder, "tiny-phi2")

        assert await files.find("tiny-phi2") == await files.find("tiny-phi2.gguf") is not None

    @pytest.mark.parametrize(
        "name",
        ["../outside", "outside", "{outside}", "{folder}/tiny-phi2.gguf", "a\0b", "", ".", "none"],
    )
    async def test_a_name_never_reaches_a_file_outside_the_places(self, files, folder, name):
        write(folder, "tiny-phi2")
        outside = write(folder.parent, "tiny-phi2", stem="outside")

        assert await files.find(name.format(outside=outside, folder=folder)) is None


class TestValidate:
    async def test_a_good_file_passes(self, files, folder):
        write(folder, "tiny-phi2")

        await files.validate(await the(files, "tiny-phi2"))

    async def test_a_file_that_broke_since_it_was_listed_is_refused(self, files, folder):
        path = write(folder, "tiny-phi2")
        model = await the(files, "tiny-phi2")
        os.truncate(path, 1000)

        with pytest.raises(ModelFileInvalid, match="truncated"):
            await files.validate(model)

    async def test_a_file_that_is_gone_since_it_was_listed_is_refused(self, files, folder):
        path = write(folder, "tiny-phi2")
        model = await the(files, "tiny-phi2")
        path.unlink()

        with pytest.raises(ModelFileInvalid, match="gone"):
            await files.validate(model, "sha256:" + "0" * 64)

    async def test_a_wrong_checksum_is_refused(self, files, folder):
        write(folder, "tiny-phi2")

        with pytest.raises(ModelFileInvalid, match="checksum sha256: expected 00000000…, found"):
            await files.validate(await the(files, "tiny-phi2"), "sha256:" + "0" * 64)

    @pytest.mark.parametrize("key", ["tiny-phi2", "tiny-phi2.gguf"])
    async def test_the_checksum_of_the_settings_is_used(self, folder, key):
        write(folder, "tiny-phi2")
        files = ModelFiles((Place(folder, "built-in"),), {key: "sha256:" + "0" * 64})

        with pytest.raises(ModelFileInvalid, match="checksum"):
            await files.validate(await the(files, "tiny-phi2"))

    async def test_the_checksum_of_an_unchanged_file_is_computed_once(
        self, files, folder, monkeypatch
    ):
        path = write(folder, "tiny-phi2")
        checksum = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        computed = []

        real = Hashing.run

        def count(hashing):
            computed.append(hashing.parts)
            return real(hashing)

        monkeypatch.setattr(Hashing, "run", count)
        model = await the(files, "tiny-phi2")

        await files.validate(model, checksum)
        await files.validate(model, checksum)
        path.rename(folder / "renamed.gguf")
        await files.validate(await the(files, "renamed"), checksum)

        assert len(computed) == 1

    async def test_a_file_replaced_by_another_of_its_size_is_hashed_again(self, files, folder):
        path = write(folder, "tiny-phi2")
        checksum = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        model = await the(files, "tiny-phi2")
        await files.validate(model, checksum)

        write(folder, "tiny-phi2", seed=1)
        os.utime(path, ns=(1, 1))

        with pytest.raises(ModelFileInvalid, match="checksum"):
            await files.validate(model, checksum)


class TestLookedAt:
    async def test_every_place_is_told_with_what_was_found_there(self, folder, tmp_path):
        write(folder, "tiny-phi2")
        places = (
            Place(tmp_path / "none", "--models-dir"),
            Place(folder, "ORAC_MODELS_DIR"),
            Place(folder, "built-in"),
        )

        absent, here, again = await ModelFiles(places).looked_at("tiny-phi2.gguf")

        assert (absent.place, absent.exists, absent.note) == (places[0], False, "does not exist")
        assert (here.exists, here.models) == (True, 1)
        assert here.found == await the(ModelFiles(places), "tiny-phi2")
        assert (again.models, again.found, again.shadowed) == (1, None, ())

    async def test_a_name_that_is_nowhere_is_found_nowhere(self, files, folder):
        write(folder, "tiny-phi2")

        (looked,) = await files.looked_at("other")

        assert (looked.models, looked.found) == (1, None)

    async def test_files_without_an_id_are_told(self, tmp_path):
        folders = [tmp_path / name for name in "xyz"]
        paths = [write(folder, "tiny-phi2") for folder in folders]
        files = ModelFiles(tuple(Place(folder, "built-in") for folder in folders))

        looked = await files.looked_at("tiny-phi2")

        assert await ids(files) == ["tiny-phi2", "tiny-phi2.gguf"]
        assert [it.shadowed for it in looked] == [(), (), (paths[2],)]
