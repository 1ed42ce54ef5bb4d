import gc
import subprocess
import sys

import pytest

from orac_server.cli import lean


@pytest.fixture(name="thresholds")
def _thresholds():
    before = gc.get_threshold()
    yield before
    gc.set_threshold(*before)
    gc.unfreeze()


def printed(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_what_serves_does_without_rich_which_can_still_be_imported():
    code = (
        "import sys, orac_server.cli.serve as serve\n"
        "print('rich' in sys.modules, 'structlog' in sys.modules)\n"
        "import rich; print(rich.__name__)"
    )
    assert printed(code) == ["False", "True", "rich"]


def test_a_module_that_is_there_already_is_not_hidden(monkeypatch):
    seen = []
    monkeypatch.setattr(lean, "import_module", lambda _: seen.append(sys.modules.get("json")))
    lean.import_without("json", "anything")
    assert seen == [sys.modules["json"]]


def test_what_is_hidden_comes_back_when_the_import_fails():
    with pytest.raises(ModuleNotFoundError):
        lean.import_without("a_module_that_is_nowhere", "another_that_is_nowhere")
    assert "a_module_that_is_nowhere" not in sys.modules


def test_garbage_is_looked_for_again_after_an_import_that_failed():
    with pytest.raises(ImportError), lean.uncollected():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with lean.uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_is_there_is_left_alone_and_the_rest_is_looked_at_less_often(thresholds):
    lean.settle()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == (lean.YOUNG, *thresholds[1:])
