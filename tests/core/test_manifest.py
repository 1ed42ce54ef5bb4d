import json
from pathlib import Path

import pytest
from attrs import field, frozen, validators
from hypothesis import given
from hypothesis import strategies as st

from orac_core import ConfigurationError
from orac_core.manifest import BackendEntry, Manifest, find, parse, read, structure


def problems(data) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        parse(data, "orac.toml")
    return caught.value.problems


def test_nothing_said_means_the_defaults():
    manifest = parse({}, "orac.toml")
    assert manifest == Manifest()
    assert (manifest.server.host, manifest.server.port) == ("127.0.0.1", 8000)


def test_toml_and_json_of_the_same_shape_mean_the_same(tmp_path):
    toml = tmp_path / "orac.toml"
    toml.write_text(
        'profile = "lab"\n[models]\npaths = ["/m"]\n[models.files.a]\nchecksum = "sha256:0"\n'
        '[backends.local]\nkind = "llamacpp"\nthreads = 2\n'
        '[profiles.lab.models]\ngeneral = "a"\ncoding = { name = "b", provider = "local" }\n',
    )
    twin = tmp_path / "orac.json"
    twin.write_text(
        json.dumps(
            {
                "profile": "lab",
                "models": {"paths": ["/m"], "files": {"a": {"checksum": "sha256:0"}}},
                "backends": {"local": {"kind": "llamacpp", "threads": 2}},
                "profiles": {
                    "lab": {
                        "models": {"general": "a", "coding": {"name": "b", "provider": "local"}}
                    },
                },
            },
        ),
    )
    manifest = read(toml)
    assert manifest == read(twin)
    assert manifest.backends["local"].settings == {"threads": 2}
    assert {role: each.model for role, each in manifest.roles.items()} == {
        "general": "a",
        "coding": "local/b",
    }


def test_every_mistake_is_named_at_once_with_its_place():
    found = problems(
        {
            "ulr": 1,
            "server": {"port": "x", "max_concurrency": True},
            "models": {"paths": "abc", "files": {"a": {"checksum": 5, "zz": 1}}},
            "backends": {"local": {"url": 5}},
        },
    )
    assert set(found) == {
        'extra field "ulr" @ top',
        "must be a whole number, not str @ server.port",
        "must be a whole number, not bool @ server.max_concurrency",
        "must be a list, not str @ models.paths",
        "must be text, not int @ models.files.a.checksum",
        'extra field "zz" @ models.files.a',
        "lacks the key `kind`, such as kind = 'llamacpp' @ backends.local",
    }


@pytest.mark.parametrize("count", [0, 1025])
def test_answers_at_once_are_left_to_the_model_or_a_number_within_bounds(count):
    assert parse({}, "test").server.max_concurrency is None
    assert parse({"server": {"max_concurrency": 1024}}, "test").server.max_concurrency == 1024
    (problem,) = problems({"server": {"max_concurrency": count}})
    assert problem.endswith(f": {count} @ server.max_concurrency")


def test_nothing_is_required_unless_it_is_said():
    manifest = parse({"models": {"files": {"a": {}}}, "backends": {"b": {"kind": "k"}}}, "test")
    assert manifest.server.strict_start is False
    assert manifest.models.files["a"].required is False
    assert manifest.backends["b"].required is False


def test_what_is_required_is_no_setting_of_a_kind():
    manifest = parse(
        {
            "server": {"strict_start": True},
            "models": {"files": {"ollama/a:latest": {"required": True}}},
            "backends": {"b": {"kind": "k", "required": True, "url": "x"}},
        },
        "test",
    )
    assert manifest.server.strict_start
    assert manifest.models.files["ollama/a:latest"].required
    assert manifest.backends["b"] == BackendEntry("k", {"url": "x"}, required=True)


def test_what_is_required_is_said_with_true_or_false():
    found = problems(
        {
            "server": {"strict_start": "yes"},
            "models": {"files": {"a": {"required": 1}}},
            "backends": {"b": {"kind": 5, "required": "no"}},
        },
    )
    assert set(found) == {
        "must be true or false, not str @ server.strict_start",
        "must be true or false, not int @ models.files.a.required",
        "must be text, not int @ backends.b.kind",
        "must be true or false, not str @ backends.b.required",
    }


def test_a_place_with_dots_in_its_name_is_quoted_as_in_toml():
    found = problems({"models": {"files": {"Qwen3-0.6B": 5}}})
    assert found == ('must be a table, not int @ models.files."Qwen3-0.6B"',)


def test_a_number_out_of_range_is_a_mistake():
    assert problems({"server": {"port": 65536}}) == (
        "'port' must be <= 65535: 65536 @ server.port",
    )


def test_a_manifest_that_is_no_table_is_a_mistake():
    assert problems([]) == ("must be a table, not list @ top",)


def test_an_unknown_profile_is_named_with_those_there_are():
    with pytest.raises(ConfigurationError, match="no profile 'x'; there are: a, b"):
        parse({"profile": "x", "profiles": {"a": {}, "b": {}}}, "orac.toml")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[models", "orac.toml: "),
        (b"\xff\xfe", "not UTF-8"),
        (b"#" * (1024 * 1024 + 1), "larger than"),
    ],
)
def test_a_file_that_can_not_be_read_is_a_clear_error(tmp_path, content, reason):
    path = tmp_path / "orac.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=reason):
        read(path)


def test_a_manifest_that_is_not_there_is_a_clear_error(tmp_path):
    with pytest.raises(ConfigurationError, match="No such file"):
        read(tmp_path / "orac.toml")


def test_json_nested_without_end_is_a_clear_error(tmp_path):
    path = tmp_path / "orac.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ConfigurationError, match="orac.json"):
        read(path)


def test_the_manifest_named_comes_before_the_variable_and_the_variable_before_usual_places(
    tmp_path,
):
    here = tmp_path / "orac.toml"
    here.touch()
    environ = {"ORAC_MANIFEST": "/elsewhere.toml"}
    assert find(Path("/named.toml"), environ, tmp_path) == Path("/named.toml")
    assert find(None, environ, tmp_path) == Path("/elsewhere.toml")
    assert find(None, {}, tmp_path) == here
    assert find(None, {}, tmp_path / "empty") is None


@frozen
class Settings:
    url: str
    retries: int = 3
    wait_s: float = 0.5
    binary: Path | None = None


def test_settings_of_a_backend_are_structured_with_their_place_in_every_mistake():
    settings = structure({"url": "x", "wait_s": 1, "binary": "/b"}, Settings, "m", "backends.o")
    assert settings == Settings("x", wait_s=1.0, binary=Path("/b"))
    with pytest.raises(ConfigurationError) as caught:
        structure({"ulr": "x"}, Settings, "m", "backends.o")
    assert set(caught.value.problems) == {
        'lacks "url" @ backends.o.url',
        'extra field "ulr" @ backends.o',
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["server", "models", "files", "paths", "backends", "profiles", "kind"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_whatever_is_in_it_a_manifest_is_read_or_refused(data):
    outcome: Manifest | ConfigurationError
    try:
        outcome = parse(data, "orac.toml")
    except ConfigurationError as error:
        outcome = error
    assert isinstance(outcome, Manifest) or str(outcome).startswith("orac.toml: ")


def test_values_that_are_refused_are_told_all_at_once_each_at_its_key_beside_all_else():
    server = {"port": 80_000, "breaker_window": -3, "deadline": "5 fortnights", "max_queue": "x"}
    profile = {
        "models": {"general": {"name": "", "provder": "a"}, "coding": "m"},
        "fallbacks": {"general": ["general"], "coding": ["m"], "nobody": ["m"], "typo": "m"},
    }
    data = {
        "server": server,
        "models": {"aliases": {"a/x": "y"}, "retires": 1},
        "backends": {"a": {"kind": "ollama"}},
        "profiles": {"default": profile},
    }
    places = {each.rpartition(" @ ")[2] for each in problems(data)}
    assert places == {
        *(f"server.{name}" for name in server),
        *("models", 'models.aliases."a/x"'),
        *("profiles.default.models.general", "profiles.default.models.general.name"),
        *(f"profiles.default.fallbacks.{name}" for name in ("general", "coding", "nobody", "typo")),
    }


def test_what_a_validator_refuses_in_its_own_way_is_told_with_the_rest():
    def refused(_, __, value):
        raise ConfigurationError(f"{value} is nowhere")

    @frozen
    class Both:
        url: str = field(validator=refused)
        size: int = field(validator=validators.ge(1))

    with pytest.raises(ConfigurationError) as caught:
        structure({"url": "x", "size": 0}, Both, "test", "backends.a")
    assert set(caught.value.problems) == {
        "x is nowhere @ backends.a.url",
        "'size' must be >= 1: 0 @ backends.a.size",
    }
