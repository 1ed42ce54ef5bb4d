import pytest

from orac_core import ConfigurationError, Registration, Registry

SHA256 = "sha256:" + "0" * 64


def loaded(path=None):
    return object()


def test_what_was_registered_is_there_in_its_order():
    registry = Registry()
    made = [registry.register(name, loader=loaded) for name in ("b", "a")]
    assert list(registry) == made == [Registration("b", loaded), Registration("a", loaded)]


def test_a_name_is_taken_once():
    registry = Registry()
    registry.register("whisper", loader=loaded)
    with pytest.raises(ConfigurationError, match="'whisper' already"):
        registry.register("whisper", loader=loaded)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({}, "loader"),
        ({"loader": "package:function"}, "callable"),
        ({"loader": loaded, "speed": 1}, "speed"),
        ({"loader": loaded, "parallel": 0}, "parallel"),
        ({"loader": loaded, "start_timeout_s": 0}, "start_timeout_s"),
        ({"loader": loaded, "checksum": SHA256}, "say which file"),
        ({"loader": loaded, "checksum": "0" * 64, "path": "a"}, "'checksum' must be sha256:"),
        ({"loader": loaded, "path": "a", "kwargs": {"path": "b"}}, "say it once"),
        ({"loader": loaded, "capabilities": ("flight",)}, "completion, chat, embedding"),
    ],
)
def test_what_makes_no_sense_is_named(how, why):
    with pytest.raises(ConfigurationError, match="'it' can not be registered") as raised:
        Registry().register("it", **how)
    assert why in str(raised.value)


def test_what_a_loader_is_called_with_is_not_shown():
    registration = Registration("it", loaded, {"token": "hush"})
    assert "hush" not in repr(registration)


def test_one_backend_gets_what_is_registered_and_others_nothing():
    registry = Registry()
    registry.register("early", loader=loaded)
    with registry.claimed(["mine"]) as first, registry.claimed([]) as second:
        registry.register("late", loader=loaded)
        assert [it.name for it in first] == ["early", "late"]
        assert list(second) == []
        with pytest.raises(ConfigurationError, match="'mine' already"):
            registry.register("mine", loader=loaded)
    with registry.claimed([]) as again:
        assert len(list(again)) == 2


def test_a_name_of_the_manifest_that_was_registered_before_is_refused():
    registry = Registry()
    registry.register("mine", loader=loaded)
    with pytest.raises(ConfigurationError, match="in the manifest too"), registry.claimed(["mine"]):
        pass
