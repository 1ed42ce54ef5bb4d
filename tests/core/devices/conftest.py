import sys
from types import SimpleNamespace

import pytest

from tests.core.devices.test_jetson import fresh


@pytest.fixture
def nothing_of_this_machine(monkeypatch):
    for name in ("jtop", "pynvml"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def jtop(nothing_of_this_machine, monkeypatch):
    fake = fresh()
    monkeypatch.setitem(sys.modules, "jtop", SimpleNamespace(jtop=fake))
    return fake
