"""Roles and profiles: what the manifest may say of them, and what comes of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core import ConfigurationError, GenerateOptions, Manifest
from orac_core.manifest import RoleSettings, activated, parse, read, settled
from orac_core.ranges import RANGES

INSTANCES = {"local": "llamacpp", "ollama": "ollama", "second": "ollama", "old": "gone"}
KINDS = ("llamacpp", "ollama", "openai")


def manifest(models, fallbacks=None, **more):
    profile = {"models": models, "fallbacks": fallbacks or {}}
    return parse({"profiles": {"default": profile}, **more}, "test")


def problems(data):
    with pytest.raises(ConfigurationError) as caught:
        parse(data, "test")
    return set(caught.value.problems)


def active(models, fallbacks=None):
    return activated(manifest(models, fallbacks), INSTANCES, KINDS)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        (None, "m"),
        ("second", "second/m"),
        ("ollama", "ollama/m"),
        ("llamacpp", "local/m"),
    ],
)
def test_a_provider_is_an_instance_or_else_the_first_one_of_a_kind(provider, model):
    found = active({"general": {"name": "m", **({"provider": provider} if provider else {})}})
    assert found.models("general") == (model,)
    assert found.skipped == {}


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ("old", "its provider 'old' is of the kind 'gone', which no plugin offers"),
        (
            "openai",
            (
                "no backend is of the kind 'openai'; add one to the manifest: "
                "[backends.openai] with kind = 'openai'"
            ),
        ),
        (
            "vision",
            (
                "no plugin and no backend offers the provider 'vision'; there are: local, ollama, "
                "second, old, llamacpp, openai"
            ),
        ),
    ],
)
def test_a_role_whose_provider_nothing_offers_is_skipped_with_the_reason(provider, reason):
    found = active({"seeing": {"name": "m", "provider": provider}, "general": "m"})
    assert found.skipped == {"seeing": reason}
    assert set(found.roles) == {"general"}


def test_fallbacks_come_after_the_roles_own_model_and_a_role_among_them_is_its_own_model():
    found = active(
        {
            "a": {"name": "m", "provider": "ollama"},
            "b": "n",
            "seeing": {"name": "m", "provider": "?"},
        },
        {"a": ["b", "seeing", "local/o", "n"], "b": ["p", "a"]},
    )
    assert found.models("a") == ("ollama/m", "n", "local/o")
    assert found.models("b") == ("n", "p", "ollama/m")


def test_instances_that_roles_or_fallbacks_name_are_known():
    found = active({"a": {"name": "m", "provider": "ollama"}, "b": "x/y"}, {"b": ["second/z"]})
    assert found.instances(INSTANCES) == {"ollama", "second"}


def test_profiles_that_do_not_hold_are_there_to_be_seen():
    data = {"profile": "b", "profiles": {"a": {"models": {"r": "m"}}, "b": {}}}
    found = activated(parse(data, "test"), INSTANCES, KINDS)
    assert (found.name, dict(found.roles), set(found.found)) == ("b", {}, {"a", "b"})


names = st.sampled_from(["a", "b", "c", "local/m", "m", "ollama/n"])
providers = st.sampled_from([None, *INSTANCES, *KINDS, "nobody"])


@given(
    st.dictionaries(names, st.tuples(names, providers), max_size=4),
    st.dictionaries(names, st.lists(names, max_size=4), max_size=4),
)
def test_every_role_is_usable_or_skipped_and_no_model_is_tried_twice(roles, fallbacks):
    """Also of a manifest that was made without being checked, so that it may hold loops."""
    profile = {
        "models": {name: RoleSettings(*settings) for name, settings in roles.items()},
        "fallbacks": {name: tuple(each) for name, each in fallbacks.items()},
    }
    made = Manifest()
    known = parse({"profiles": {"default": {}}}, "test").profiles["default"]
    made = type(made)(profiles={"default": type(known)(**profile)})
    found = activated(made, INSTANCES, KINDS)
    assert found.roles.keys() | found.skipped.keys() == roles.keys()
    assert not found.roles.keys() & found.skipped.keys()
    for role, settings in found.roles.items():
        tried = found.models(role)
        assert len(tried) == len(set(tried))
        assert settings.provider is None or settings.provider in INSTANCES


def test_what_is_wrong_with_fallbacks_is_told_with_their_place():
    found = problems(
        {
            "profiles": {
                "default": {
                    "models": {"a": "m", "b": "n", "c": "o", "d": "p"},
                    "fallbacks": {
                        "a": ["b"],
                        "b": ["a"],
                        "c": ["x", "c"],
                        "d": ["p"],
                        "e.f": ["m"],
                    },
                },
                "second": {"models": {"a": "m"}, "fallbacks": {"a": [""]}},
            },
            "sever": {},
        }
    )
    where = "profiles.default.fallbacks"
    assert found == {
        'extra field "sever" @ top',
        f"leads back to the role 'c' itself @ {where}.c",
        f"the model of the role is no fallback of it @ {where}.d",
        f"there is no role 'e.f'; there are: a, b, c, d @ {where}.\"e.f\"",
        "a fallback must have a name @ profiles.second.fallbacks.a",
    }


def test_a_role_that_would_hide_a_model_of_a_backend_is_a_mistake():
    data = {
        "backends": {"local": {"kind": "llamacpp"}},
        "models": {"aliases": {"local/x": "m"}},
        "profiles": {"default": {"models": {"local/m": "n", "team/coding": "n", "local": "n"}}},
    }
    told = "hides a model of the backend 'local'; choose a name that begins otherwise"
    assert problems(data) == {
        f'{told} @ profiles.default.models."local/m"',
        f'{told} @ models.aliases."local/x"',
    }


def test_a_role_and_its_model_must_have_names():
    found = problems({"profiles": {"default": {"models": {"": "m", "a": " ", "b": {"name": ""}}}}})
    assert found == {
        "'name' must not be empty @ profiles.default.models.a",
        "'name' must not be empty @ profiles.default.models.b.name",
        'a role must have a name @ profiles.default.models.""',
    }
    found = problems({"profiles": {"default": {"models": {" ": "m"}}}})
    assert found == {'a role must have a name @ profiles.default.models." "'}


def test_a_key_that_stands_twice_is_a_mistake_in_json_as_in_toml(tmp_path):
    path = tmp_path / "llm_models.json"
    path.write_text('{"profiles": {"default": {"models": {"a": "m", "a": "n"}}}}')
    with pytest.raises(ConfigurationError, match='"a" stands more than once in one table'):
        read(path)
    path = tmp_path / "orac.toml"
    path.write_text('[profiles.default.models]\na = "m"\na = "n"\n')
    with pytest.raises(ConfigurationError, match="orac.toml"):
        read(path)


def parameters(table):
    return parse({"models": {"parameters": table}}, "test").models.parameters


def test_parameters_may_have_the_names_that_ollama_has_for_them():
    assert parameters({"num_predict": 512, "stop": "END"}) == GenerateOptions(
        max_tokens=512, stop=("END",)
    )
    assert parameters({"num_predict": -1}) == parameters({"num_predict": -2}) == GenerateOptions()


def test_what_ollama_takes_for_a_parameter_and_orac_elsewhere_is_told_to_belong_there():
    found = problems({"models": {"parameters": {"num_ctx": 1, "num_gpu": 1, "num_thread": 1}}})
    assert {each.rpartition(" @ ")[2] for each in found} == {
        f"models.parameters.{name}" for name in ("num_ctx", "num_gpu", "num_thread")
    }
    assert any('`context_length` in [models.files."NAME"]' in each for each in found)


def test_every_mistake_in_parameters_is_told_at_the_name_that_was_written():
    role = {"name": "m", "parameters": {"num_predict": 0, "top_p": 2, "temperature": "x", "tpo": 1}}
    where = "profiles.default.models.general.parameters"
    assert problems({"profiles": {"default": {"models": {"general": role}}}}) == {
        f"must be a whole number from 1 to 16 777 216 @ {where}.num_predict",
        f"must be a number from 0 to 1 @ {where}.top_p",
        f"must be a number, not str @ {where}.temperature",
        f'extra field "tpo" @ {where}',
    }
    both = {"num_predict": "x", "max_tokens": 5}
    assert problems({"models": {"parameters": both}}) == {
        (
            "is another name of `max_tokens`, which is there too; leave one out "
            "@ models.parameters.num_predict"
        )
    }


@given(st.sampled_from(sorted(RANGES)), st.integers() | st.floats(allow_nan=False))
def test_a_parameter_is_taken_where_it_is_within_its_range_and_nowhere_else(name, value):
    allowed = RANGES[name]
    if allowed.problem(value) is None:
        assert getattr(parameters({name: value}), name) == value
    else:
        assert len(problems({"models": {"parameters": {name: value}}})) == 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("default", "models", "fallbacks", "a", "b", "name", "provider"),
                    *("parameters", "num_predict", "num_ctx", "stop", "adapters", "path"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=16,
)


@given(
    profiles=values,
    environ=st.dictionaries(
        st.sampled_from(["ORAC_PROFILE", "ORAC_SERVER_PORT", "ORAC_MODELS_XY"]), st.text(max_size=4)
    ),
)
def test_whatever_stands_there_profiles_are_read_or_refused(tmp_path_factory, profiles, environ):
    path = tmp_path_factory.getbasetemp() / "llm_models.json"
    path.write_text(json.dumps({"profiles": profiles, "backends": profiles}))
    try:
        found = settled(path, environ)
    except ConfigurationError as error:
        assert error.problems or str(path) in str(error)  # noqa: PT017 - one of two outcomes
    else:
        assert activated(found.manifest, INSTANCES, KINDS).found == found.manifest.profiles


def test_a_role_may_prefer_whichever_backend_has_its_model_loaded():
    found = manifest({"general": {"name": "m", "prefer": "warm"}}, {"general": ["local/n"]})
    role = activated(found, INSTANCES, KINDS).roles["general"]
    assert (role.prefer, role.model) == ("warm", "m")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"prefer": "cold"}, "'prefer' must be 'warm', or left out"),
        ({"prefer": 1}, "must be text, not int"),
        ({"prefer": "warm", "provider": "local"}, "'provider' is of one; take one"),
        ({"prefer": "warm", "auto_download": True}, "'auto_download' is of one; take one"),
        ({"prefer": "warm", "adapters": [{"path": "a.gguf"}]}, "'adapters' is of one; take one"),
    ],
)
def test_a_preference_that_makes_no_sense_is_refused_with_its_place(more, told):
    roles = {"general": {"name": "m", **more}}
    (problem,) = problems({"profiles": {"default": {"models": roles}}})
    assert told in problem
    assert "profiles.default.models.general" in problem
