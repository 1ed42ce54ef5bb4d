"""Layers: the manifest over the defaults, the environment over it, options of a command on top."""

import json
from pathlib import Path

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from orac_core import ConfigurationError, Manifest
from orac_core.manifest import DEFAULT, Option, over, place, settled, variables
from orac_core.manifest.environment import heard

SETTINGS = {
    "server.host": ("ORAC_SERVER_HOST", st.sampled_from(["127.0.0.1", "::1", "robot.lan"])),
    "server.port": ("ORAC_SERVER_PORT", st.integers(0, 65535)),
    "server.max_concurrency": ("ORAC_SERVER_MAX_CONCURRENCY", st.integers(1, 1024)),
    "server.strict_start": ("ORAC_SERVER_STRICT_START", st.booleans()),
    "server.deadline": ("ORAC_SERVER_DEADLINE", st.sampled_from(["5m", "90", "1h30m"])),
    "models.retries": ("ORAC_MODELS_RETRIES", st.integers(0, 100)),
    "models.keep_alive": ("ORAC_MODELS_KEEP_ALIVE", st.sampled_from(["-1", "0", "30m"])),
    "benchmark.rounds": ("ORAC_BENCHMARK_ROUNDS", st.integers(1, 1000)),
    "benchmark.goal_ttft_s": ("ORAC_BENCHMARK_GOAL_TTFT_S", st.floats(0.5, 99)),
}
"""Some settings of every type, each with its variable and the values it may have."""

LAYER = st.fixed_dictionaries({}, optional={name: it for name, (_, it) in SETTINGS.items()})

MISTAKES = {
    "server.port": ("x", "must be a whole number, not str @ server.port"),
    "server.auth": (1, "must be true or false, not int @ server.auth"),
    "models.paths": ("/m", "must be a list, not str @ models.paths"),
    "models.aliases": (5, "must be a table, not int @ models.aliases"),
    "benchmark.ruonds": (5, 'extra field "ruonds" @ benchmark'),
}

OF_ENVIRONMENT = {
    "ORAC_SERVER_PORT": ("x", "must be a whole number, not 'x'"),
    "ORAC_SERVER_MAX_CONCURRENCY": ("0", "'max_concurrency' must be >= 1: 0"),
    "ORAC_SERVER_MAX_QUEUE": ("-1", "'max_queue' must be >= 0: -1"),
    "ORAC_SERVER_AUTH": ("maybe", "must be true or false, not 'maybe'"),
    "ORAC_SERVER_DEADLINE": (
        "soon",
        "'soon' is no span of time; write it like 5m, 1h30m, 90 or -1",
    ),
    "ORAC_BENCHMARK_GOAL_TTFT_S": ("fast", "must be a number, not 'fast'"),
    "ORAC_SERVER_PROT": ("1", "there is no such setting; did you mean ORAC_SERVER_PORT?"),
    "ORAC_MODELS_DIRECTORY": ("/m", "there is no such setting; did you mean ORAC_MODELS_DIR?"),
    "ORAC_BENCHMARK_QQQQQQQQQQQQ": (
        "1",
        "there is no such setting; `orac config` shows those there are",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("manifest")


def written(folder: Path, data: object) -> Path:
    path = folder / "orac.json"
    path.write_text(json.dumps(data))
    return path


def nested(values):
    tables: dict[str, dict] = {}
    for name, value in values.items():
        section, _, key = name.partition(".")
        tables.setdefault(section, {})[key] = value
    return tables


def value_of(manifest, setting):
    section, _, key = setting.partition(".")
    return getattr(getattr(manifest, section), key)


def refused(path, environ, **more):
    with pytest.raises(ConfigurationError) as caught:
        settled(path, environ, **more)
    return caught.value


@given(file=LAYER, environment=LAYER, options=LAYER)
def test_of_each_setting_the_last_layer_that_has_it_holds_and_says_where_it_is_from(
    folder, file, environment, options
):
    path = written(folder, nested(file))
    environ = {SETTINGS[name][0]: str(value) for name, value in environment.items()}
    given = {name: Option(value, f"--{name}") for name, value in options.items()}
    found = settled(path, environ, given)
    for name, (variable, _) in SETTINGS.items():
        expected = value_of(Manifest(), name), DEFAULT
        if name in file:
            expected = file[name], str(path)
        if name in environment:
            expected = environment[name], f"environment {variable}"
        if name in options:
            expected = options[name], f"--{name}"
        assert (value_of(found.manifest, name), found.origin(name)) == expected


@given(first=LAYER, second=LAYER)
def test_one_layer_over_another_is_both_at_once(first, second):
    manifest = Manifest()
    assert over(over(manifest, first), second) == over(manifest, first | second)
    assert over(manifest, {}) is manifest


@given(
    wrong=st.sets(st.sampled_from(sorted(MISTAKES)), min_size=1),
    elsewhere=st.sets(st.sampled_from(sorted(OF_ENVIRONMENT)), min_size=1),
    profile=st.sampled_from(["", "nope"]),
)
def test_every_mistake_of_every_layer_is_told_at_once_with_its_place(
    folder, wrong, elsewhere, profile
):
    path = written(folder, {**nested({name: MISTAKES[name][0] for name in wrong}), "profiles": {}})
    environ = {name: OF_ENVIRONMENT[name][0] for name in elsewhere} | {"ORAC_PROFILE": profile}
    expected = {
        *(f"{path}: {MISTAKES[name][1]}" for name in wrong),
        *(f"environment {name}: {OF_ENVIRONMENT[name][1]}" for name in elsewhere),
        *(["environment ORAC_PROFILE: no profile 'nope'; there are: none"] if profile else []),
    }
    assert set(refused(path, environ).problems) == expected


def test_mistakes_of_one_layer_alone_are_told_as_its_own(folder):
    alone = refused(written(folder, {"server": {"port": "x"}}), {})
    assert str(alone).endswith("1 mistake\n  must be a whole number, not str @ server.port")
    alone = refused(None, {"ORAC_SERVER_PORT": "x"})
    told = "environment ORAC_SERVER_PORT: must be a whole number, not 'x'"
    assert str(alone) == f"the environment: 1 mistake\n  {told}"


def test_a_file_that_can_not_be_read_hides_no_mistake_of_the_environment(tmp_path):
    path = tmp_path / "orac.toml"
    path.write_text("[server")
    found = refused(path, {"ORAC_SERVER_PORT": "x"})
    assert len(found.problems) == 2
    assert found.problems[0].startswith(f"{path}: ")
    assert found.problems[1].startswith("environment ORAC_SERVER_PORT: ")


@frozen
class Settings:
    url: str = ""


def test_settings_of_backends_are_told_with_all_other_mistakes(folder):
    path = written(
        folder,
        {
            "sevrer": {},
            "backends": {
                "a": {"kind": "known", "ulr": "x", "required": True},
                "b": {"kind": "strange", "ulr": "x"},
            },
        },
    )
    found = refused(path, {}, kinds=lambda: {"known": Settings})
    assert found.problems == ('extra field "sevrer" @ top', 'extra field "ulr" @ backends.a')


def test_nobody_asks_for_the_kinds_when_all_is_well(folder):
    def kinds():
        raise AssertionError

    assert settled(written(folder, {}), {}, kinds=kinds).manifest == Manifest()


PROFILES = {"profile": "lab", "profiles": {"lab": {}, "field": {}, "home": {}}}


@pytest.mark.parametrize(
    ("environ", "name", "origin"),
    [
        ({}, "lab", None),
        ({"LLM_MODELS_PROFILE": "field"}, "field", "environment LLM_MODELS_PROFILE"),
        (
            {"LLM_MODELS_PROFILE": "field", "ORAC_PROFILE": "home"},
            "home",
            "environment ORAC_PROFILE",
        ),
        ({"LLM_MODELS_PROFILE": " ", "ORAC_PROFILE": ""}, "lab", None),
    ],
)
def test_the_profile_is_that_of_the_environment_before_that_of_the_file(
    folder, environ, name, origin
):
    path = written(folder, PROFILES)
    found = settled(path, environ)
    assert (found.manifest.profile, found.origin("profile")) == (name, origin or str(path))


def test_a_profile_that_the_environment_chooses_makes_good_for_the_files(folder):
    path = written(folder, {"profiles": {"lab": {}}})
    assert settled(path, {"ORAC_PROFILE": "lab"}).manifest.profile == "lab"
    found = refused(path, {})
    assert found.problems == ("no profile 'default'; there are: lab @ profile",)


def test_lists_are_separated_by_commas_and_empty_variables_do_not_count():
    environ = {
        "ORAC_SERVER_ALLOWED_HOSTS": "robot.lan, dock.lan ,",
        "ORAC_MODELS_PATHS": "/a,/b",
        "ORAC_SERVER_PORT": "  ",
        "ORAC_MODELS_DIR": "/models",
    }
    found = settled(None, environ).manifest
    assert found.server.allowed_hosts == ("robot.lan", "dock.lan")
    assert found.models.paths == (Path("/a"), Path("/b"))
    assert found.server.port == Manifest().server.port


@pytest.mark.parametrize(
    ("text", "meant"), [("yes", True), ("TRUE", True), ("1", True), ("off", False), ("0", False)]
)
def test_yes_and_no_may_be_written_in_several_ways(text, meant):
    assert settled(None, {"ORAC_SERVER_AUTH": text}).manifest.server.auth is meant


def test_every_plain_setting_has_a_variable_and_no_table_has_one():
    settings = {each.setting for each in variables().values()}
    assert {"server.host", "models.downloads", "models.canaries", "benchmark.tasks"} <= settings
    assert settings.isdisjoint({"models.files", "models.aliases", "models.parameters"})


def test_variables_that_kubernetes_sets_for_a_service_of_that_name_are_none_of_ours():
    environ = {
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "ORAC_SERVER_PORT": "tcp://10.0.0.7:8000",
        "ORAC_SERVER_SERVICE_HOST": "10.0.0.7",
        "ORAC_SERVER_SERVICE_PORT_HTTP": "8000",
        "ORAC_SERVER_PORT_8000_TCP_ADDR": "10.0.0.7",
    }
    assert settled(None, environ).manifest == Manifest()
    del environ["KUBERNETES_SERVICE_HOST"]
    assert len(refused(None, environ).problems) == 4


@given(st.dictionaries(st.sampled_from(sorted(variables())), st.text(max_size=12)))
def test_whatever_a_variable_says_it_is_taken_or_named(environ):
    found = heard(environ)
    told = {each.split()[1].rstrip(":") for each in found.problems}
    assert told | set(found.names.values()) == {name for name in environ if environ[name].strip()}


@pytest.mark.parametrize(
    ("parts", "written"),
    [(("a", "b-c"), "a.b-c"), (("a", "b.c"), 'a."b.c"'), (("a", 'b"'), 'a."b\\""')],
)
def test_a_place_is_written_as_toml_writes_it(parts, written):
    assert place(*parts) == written
