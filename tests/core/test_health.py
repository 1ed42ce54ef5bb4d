from hypothesis import given
from hypothesis import strategies as st

from orac_core import InstanceHealth, ModelInfo, ModelState, ServedModel
from orac_core.health import fold

UP = InstanceHealth(usable=True)
DOWN = InstanceHealth(usable=False, message="connection refused")


def model(state: ModelState, reason: str | None = None) -> ServedModel:
    return ServedModel(ModelInfo("m", state, reason), "local", "llamacpp")


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


states = st.sampled_from(ModelState)
healths = st.builds(InstanceHealth, usable=st.booleans(), message=st.text(max_size=5))


@given(st.dictionaries(st.text(max_size=3), healths, max_size=3), st.lists(states, max_size=3))
def test_healthy_means_that_there_is_no_error_to_show(instances, model_states):
    health = fold(instances, [model(state) for state in model_states], {})
    assert (health.status == "healthy") == (bool(instances) and not health.errors)
    assert health.loaded_count <= len(health.models_loaded)
