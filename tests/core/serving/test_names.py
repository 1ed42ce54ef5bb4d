from hypothesis import given
from hypothesis import strategies as st

from orac_core import ModelInfo
from orac_core.serving.names import Attempt, Names, Target, known


def ids(*names):
    return {name: name for name in names}


AVAILABLE = {
    "local": ids("Qwen3-0.6B-Q4_K_M", "shared", "sub/deep.GGUF", "odd/name"),
    "ollama": ids("tinyllama:latest", "shared", "odd/name") | {"tinyllama": "tinyllama:latest"},
}


def test_a_bare_id_means_the_instance_that_has_it():
    assert Names().resolve("tinyllama:latest", AVAILABLE) == Target("ollama", "tinyllama:latest")


def test_another_name_of_a_model_means_its_id():
    assert Names().resolve("tinyllama", AVAILABLE) == Target("ollama", "tinyllama:latest")
    assert Names().resolve("ollama/tinyllama", AVAILABLE) == Target("ollama", "tinyllama:latest")


def test_an_id_goes_before_another_models_other_name():
    models = [ModelInfo("a:latest", names=("a", "b")), ModelInfo("b:latest", names=("b",))]
    assert known(models)["b"] == "a:latest"
    assert known([*models, ModelInfo("b")])["b"] == "b"


def test_where_two_instances_have_it_the_manifests_order_decides():
    assert Names().resolve("shared", AVAILABLE) == Target("local", "shared")


def test_an_instance_before_the_slash_decides():
    assert Names().resolve("ollama/shared", AVAILABLE) == Target("ollama", "shared")


def test_an_id_may_itself_hold_a_slash():
    assert Names().resolve("odd/name", AVAILABLE) == Target("local", "odd/name")
    assert Names().resolve("ollama/odd/name", AVAILABLE) == Target("ollama", "odd/name")


def test_the_ending_gguf_is_optional():
    assert Names().resolve("shared.gguf", AVAILABLE) == Target("local", "shared")
    assert Names().resolve("local/shared.GGUF", AVAILABLE) == Target("local", "shared")
    assert Names().resolve("sub/deep.GGUF", AVAILABLE) == Target("local", "sub/deep.GGUF")


def test_a_role_comes_before_a_model_of_the_same_name_and_is_named_in_the_target():
    names = Names(roles={"shared": ("tinyllama:latest",)})
    assert names.resolve("shared", AVAILABLE) == Target("ollama", "tinyllama:latest", "shared")


def test_a_role_may_mean_an_alias():
    names = Names(roles={"general": ("small",)}, aliases={"small": "ollama/shared"})
    assert names.resolve("general", AVAILABLE) == Target("ollama", "shared", "general")


def test_names_that_mean_each_other_end():
    names = Names(roles={"a": ("b",)}, aliases={"b": "a"})
    assert names.resolve("a", AVAILABLE) is None


def test_nothing_is_found_for_a_name_nobody_has():
    for name in ("", "/", "..", "../shared", "/etc/passwd", "shared\0", "local/", "SHARED"):
        assert Names().resolve(name, AVAILABLE) is None


def test_the_table_lists_the_names_that_stand_for_each_model():
    names = Names(
        roles={"general": ("shared",), "gone": ("nothing",)}, aliases={"s": "local/shared"}
    )
    assert names.table(AVAILABLE) == {("local", "shared"): ("general", "s")}


def test_a_role_is_tried_with_its_own_model_then_with_its_fallbacks():
    names = Names(roles={"general": ("gone", "ollama/tinyllama", "shared")})
    own, second, third = names.attempts("general")
    assert (own, second.fallback, third.role) == (Attempt("gone", "general"), True, "general")
    assert names.target(own, AVAILABLE) is None
    assert names.target(second, AVAILABLE) == Target(
        "ollama", "tinyllama:latest", "general", fallback=True
    )
    assert names.target(third, AVAILABLE) == Target("local", "shared", "general", fallback=True)


def test_a_role_means_the_first_of_its_models_that_there_is():
    names = Names(roles={"general": ("gone", "shared", "tinyllama")})
    assert names.resolve("general", AVAILABLE) == Target("local", "shared", "general", True)  # noqa: FBT003
    assert names.table(AVAILABLE) == {("local", "shared"): ("general",)}


def test_what_is_no_role_has_nothing_in_its_place():
    names = Names(roles={"general": ("a", "b")}, aliases={"small": "shared"})
    assert names.attempts("small") == (Attempt("small"),)
    assert names.attempts("") == (Attempt(""),)


words = st.text(min_size=1, max_size=8)
instances = st.dictionaries(
    words.filter(lambda name: "/" not in name),
    st.lists(words, max_size=4).map(lambda names: ids(*names)),
)


@given(
    st.text(max_size=20),
    st.dictionaries(words, st.lists(words, min_size=1, max_size=3).map(tuple), max_size=3),
    st.dictionaries(words, words, max_size=3),
    instances,
)
def test_what_is_found_is_always_one_of_what_there_is(name, roles, aliases, available):
    target = Names(roles, aliases).resolve(name, available)
    assert target is None or target.model in available[target.instance]


def test_a_name_tells_which_instance_is_meant_where_it_begins_with_one():
    names = Names(aliases={"short": "local/x", "odd": "x"})
    meant = {
        name: names.instance(Attempt(name), ("local", "other"))
        for name in ("local/x", "other/x/y", "short", "odd", "x", "strange/x", "local")
    }
    assert meant == {
        "local/x": "local",
        "other/x/y": "other",
        "short": "local",
        **dict.fromkeys(("odd", "x", "strange/x", "local")),
    }


@given(instances)
def test_instance_and_model_always_mean_that_model(available):
    for instance, models in available.items():
        for model in models:
            assert Names().resolve(f"{instance}/{model}", available) == Target(instance, model)


def test_what_is_missing_is_told_with_what_helps():
    names = Names({"talk": ("local/x", "local/y")}, skipped={"see": "no backend offers it"})
    own, spare = names.attempts("talk")
    assert str(names.missing(spare, "it is empty")) == "model 'local/y' not found; it is empty"
    told = {each.name: str(names.missing(each)) for each in (own, spare, *names.attempts("see"))}
    assert told == {
        "local/x": "model 'local/x' not found; the role 'talk' stands for it; "
        "`orac provision --roles talk` fetches it where it can be fetched",
        "local/y": "model 'local/y' not found; `orac list` shows the models there are",
        "see": "model 'see' not found; a role is called that, which is skipped: no backend "
        "offers it",
    }
