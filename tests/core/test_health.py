from hypothesis import given
from hypothesis import strategies as st

from orac_core import InstanceHealth, ModelInfo, ModelState, ServedModel
from orac_core.health import FATAL, Finding, Flaw, Required, fold, summary

UP = InstanceHealth(usable=True)
DOWN = InstanceHealth(usable=False, message="connection refused")


def model(
    state: ModelState = ModelState.READY,
    reason: str | None = None,
    *,
    required: bool = False,
    warning: str | None = None,
) -> ServedModel:
    info = ModelInfo("m", state, reason, warning=warning)
    return ServedModel(info, "local", "llamacpp", required=required)


def test_all_well_is_healthy():
    health = fold({"local": UP}, [model(ModelState.READY)], {})
    assert (health.status, health.message) == ("healthy", "all is well")
    assert health.models_loaded == {"local/m": True}
    assert health.loaded_count == 1


def test_a_model_that_failed_degrades_with_its_reason():
    health = fold({"local": UP}, [model(ModelState.FAILED, "file is empty")], {})
    assert health.status == "degraded"
    assert health.message == "models failed: local/m"
    assert health.errors == {"local/m": "file is empty"}


def test_one_backend_down_of_two_degrades():
    health = fold({"local": UP, "ollama": DOWN}, [], {})
    assert (health.status, health.message) == ("degraded", "backends not usable: ollama")


def test_a_broken_plugin_degrades():
    assert fold({"local": UP}, [], {"odd": "ImportError"}).message == "plugins broken: odd"


def test_no_backend_usable_is_unhealthy():
    assert fold({"ollama": DOWN}, [], {}).status == "unhealthy"
    assert fold({}, [], {}).status == "unhealthy"


def test_a_required_model_that_failed_is_unhealthy_with_its_reason():
    health = fold({"local": UP}, [model(ModelState.FAILED, "truncated", required=True)], {})
    assert health.status == "unhealthy"
    assert health.message == "required models not usable: local/m"
    assert health.errors == {"local/m": "truncated"}


def test_a_required_model_that_nothing_has_is_unhealthy():
    health = fold({"local": UP}, [model()], {}, unknown=["gone"])
    assert health.status == "unhealthy"
    assert health.errors == {"gone": "no file and no engine has it"}


def test_a_required_model_of_a_backend_that_is_down_is_not_usable_whatever_its_state():
    health = fold({"local": DOWN, "other": UP}, [model(required=True)], {})
    assert health.status == "unhealthy"
    assert health.errors["local/m"] == "its backend local is not usable: connection refused"


def test_a_required_model_that_a_backend_which_is_down_might_have_says_so():
    health = fold({"local": UP, "ollama": DOWN}, [], {}, unknown=["ollama/a", "b"])
    assert health.errors == {
        "ollama": "connection refused",
        "ollama/a": "its backend ollama is not usable: connection refused",
        "b": "no file and no engine has it; ollama might, and can not be used",
    }


def test_a_required_backend_that_is_down_is_unhealthy_and_an_optional_one_degrades():
    instances = {"local": UP, "ollama": DOWN}
    needed = fold(instances, [], {}, required={"ollama"})
    assert (needed.status, needed.message) == (
        "unhealthy",
        "required backends not usable: ollama",
    )
    assert fold(instances, [], {}, required={"local"}).status == "degraded"


def test_a_required_model_that_is_not_loaded_yet_degrades():
    health = fold({"local": UP}, [model(ModelState.STOPPED, required=True)], {})
    assert (health.status, health.message) == (
        "degraded",
        "required models not loaded: local/m",
    )
    assert health.errors == {}
    assert health.unready == health.degradation


def test_a_model_that_nobody_requires_need_not_be_loaded():
    assert fold({"local": UP}, [model(ModelState.STOPPED)], {}).status == "healthy"


def test_a_warning_of_a_backend_degrades_with_its_text():
    warned = InstanceHealth(usable=True, warnings=("it has a known hole; update it", "it is slow"))
    health = fold({"ollama": warned}, [], {})
    assert (health.status, health.message) == ("degraded", "backends with warnings: ollama")
    assert [each.text for each in health.degradation] == list(warned.warnings)
    assert health.unready == ()


def test_a_loaded_model_that_is_served_worse_than_it_could_be_degrades():
    health = fold({"local": UP}, [model(warning="11 of 33 layers are on the CPU")], {})
    assert health.degradation == (
        Finding(Flaw.MODEL_IMPAIRED, "local/m", "11 of 33 layers are on the CPU"),
    )
    assert health.status == "degraded"


def test_a_warning_of_a_model_that_is_not_loaded_does_not_count():
    asleep = model(ModelState.STOPPED, warning="would not fit")
    assert fold({"local": UP}, [asleep], {}).status == "healthy"


def test_the_gravest_is_told_first_and_each_group_once():
    broken = {"odd": "ImportError"}
    models = [model(ModelState.FAILED, required=True)]
    health = fold({"local": UP, "a": DOWN, "b": DOWN}, models, broken, unknown=["x"])
    assert health.message == (
        "required models not usable: local/m, x; backends not usable: a, b; plugins broken: odd"
    )


def test_where_no_backend_is_usable_the_models_are_named_too():
    health = fold({"ollama": DOWN}, [], {}, required={"ollama"}, unknown=["x"])
    assert health.message == "no backend is usable: ollama; required models not usable: x"
    assert set(health.errors) == {"ollama", "x"}


def test_a_finding_says_what_it_is_about_and_reads_as_a_sentence():
    assert {flaw.about for flaw in Flaw} == {"model", "instance", "plugin", "role", "service"}
    assert str(Finding(Flaw.PLUGIN_BROKEN, "odd", "ImportError")) == "odd: ImportError"
    assert summary(()) == ""


def test_nothing_required_is_as_good_as_nothing():
    assert not Required()
    assert Required(models=("m",))
    assert Required(instances=frozenset({"i"}))


states = st.sampled_from(ModelState)
healths = st.builds(
    InstanceHealth,
    usable=st.booleans(),
    message=st.text(max_size=5),
    warnings=st.lists(st.text(max_size=3), max_size=1).map(tuple),
)
instances_by_name = st.dictionaries(st.sampled_from(["local", "a", "b"]), healths, max_size=3)
served = st.builds(model, states, required=st.booleans(), warning=st.none() | st.text(max_size=3))
names = st.sets(st.sampled_from(["local", "a", "x"]))


@given(instances_by_name, st.lists(served, max_size=3), names, names)
def test_the_status_follows_from_the_findings(instances, models, required, unknown):
    health = fold(instances, models, {}, required=required, unknown=unknown)
    some = any(each.usable for each in instances.values())
    fatal = any(each.flaw in FATAL for each in health.degradation)
    assert (health.status == "unhealthy") == (fatal or not some)
    assert (health.status == "healthy") == (some and not health.degradation)
    assert (health.message == "all is well") == (health.status == "healthy")
    assert health.loaded_count <= len(health.models_loaded)
    assert set(health.errors) <= {each.subject for each in health.degradation}
    assert all(each.text for each in health.degradation if each.subject in health.errors)


@given(instances_by_name, st.lists(served, max_size=3), names, names)
def test_requiring_more_never_makes_the_verdict_better(instances, models, required, unknown):
    order = ("healthy", "degraded", "unhealthy")
    less = fold(instances, models, {})
    more = fold(instances, models, {}, required=required, unknown=unknown)
    assert order.index(more.status) >= order.index(less.status)
