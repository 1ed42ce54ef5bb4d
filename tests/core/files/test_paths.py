"""Where models are looked for, and in which order."""

from pathlib import Path

from orac_core.files import Place, search_path

CWD, HOME = Path("/work"), Path("/home/robot")

BUILT_IN = [
    Path("/models/gguf"),
    Path("/app/models/gguf"),
    Path("/home/robot/models/gguf"),
    Path("/work/models/gguf"),
    Path("/models/gguf"),
]


def test_the_documented_order_holds():
    environ = {
        "OLLAMA_MODELS": "/ollama",
        "OLLAMA_MODEL_PATH": "/path",
        "ORAC_MODELS_DIR": "/orac",
    }

    places = search_path(Path("/option"), [Path("/one"), Path("/two")], environ, CWD, HOME)

    assert places[:6] == (
        Place(Path("/option"), "--models-dir"),
        Place(Path("/one"), "manifest models.paths"),
        Place(Path("/two"), "manifest models.paths"),
        Place(Path("/orac"), "ORAC_MODELS_DIR"),
        Place(Path("/path"), "OLLAMA_MODEL_PATH"),
        Place(Path("/ollama"), "OLLAMA_MODELS"),
    )
    assert [place.path for place in places[6:]] == BUILT_IN
    assert {place.origin for place in places[6:]} == {"built-in"}


def test_without_any_setting_the_built_in_places_are_left():
    assert [place.path for place in search_path(None, [], {}, CWD, HOME)] == BUILT_IN


def test_a_variable_set_to_nothing_does_not_count():
    places = search_path(None, [], {"ORAC_MODELS_DIR": "", "OLLAMA_MODELS": ""}, CWD, HOME)

    assert [place.path for place in places] == BUILT_IN


def test_relative_paths_begin_from_the_current_folder():
    places = search_path(Path("here"), [Path("../there"), Path()], {}, CWD, HOME)

    assert [place.path for place in places[:3]] == [Path("/work/here"), Path("/there"), CWD]


def test_a_tilde_stands_for_the_home_folder():
    places = search_path(None, [Path("~/mine"), Path("~")], {"ORAC_MODELS_DIR": "~/m"}, CWD, HOME)

    assert [place.path for place in places[:3]] == [HOME / "mine", HOME, HOME / "m"]


def test_a_tilde_within_a_name_is_a_letter():
    assert search_path(Path("~x/a~"), [], {}, CWD, HOME)[0].path == Path("/work/~x/a~")


def test_the_folder_for_what_is_fetched_is_searched_after_those_of_the_manifest():
    places = search_path(None, [Path("/one")], {}, CWD, HOME, downloads=Path("new"))
    assert places[:2] == (
        Place(Path("/one"), "manifest models.paths"),
        Place(Path("/work/new"), "manifest models.downloads"),
    )
