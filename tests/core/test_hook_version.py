"""Which plugins fit: the version of the hooks, and that it grows when they change."""

import inspect
import json
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import get_args, get_type_hints

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_core import ModelFiles, PluginError, Plugins, Registry, hookimpl, hookspecs
from orac_core.hook_version import HookVersion
from orac_core.hookspecs import HOOK_VERSION
from orac_core.plugins import OPTIONAL, REQUIRED

KEPT = Path(__file__).parents[1] / "data" / "hooks.json"
VERSIONS = st.builds(HookVersion, st.integers(0, 30), st.integers(0, 30))
HERE = HookVersion.of(HOOK_VERSION)
SERVICES = {ModelFiles, Registry}
"""What a backend is lent; these are no values, and have their own version with the library."""


@given(VERSIONS, VERSIONS)
def test_a_plugin_fits_the_same_major_and_no_newer_minor(here, plugin):
    fits = plugin.major == here.major and plugin.minor <= here.minor
    assert (here.misfit(plugin) is None) == fits


@given(VERSIONS, VERSIONS)
def test_who_does_not_fit_is_told_both_versions_and_which_side_to_update(here, plugin):
    if why := here.misfit(plugin):
        assert f"hooks {plugin}, this ORAC has {here};" in why
        assert ("update ORAC" in why) == (plugin > here)
        assert ("update the plugin" in why) == (plugin < here)


@given(VERSIONS)
def test_a_version_is_read_as_it_is_written(version):
    assert HookVersion.of(str(version)) == version
    assert HookVersion.of(str(version.major)) == HookVersion(version.major)


@pytest.mark.parametrize(
    "odd", ["", "1.", ".1", "1.0.0", "v1", "1.0 ", "-1", "\u0661", 1, 1.0, (1, 0)]
)
def test_what_is_no_version_is_refused(odd):
    with pytest.raises(PluginError, match='is no version; write it as "1.0"'):
        HookVersion.of(odd)


@pytest.mark.parametrize("said", [None, HOOK_VERSION, str(HERE.major)])
def test_a_plugin_that_fits_or_does_not_say_is_taken(said):
    plugins = Plugins()
    plugins.register("one", plugin_for(said))
    assert plugins.plugins["one"].hooks == (said and str(HookVersion.of(said)))


@hookimpl(specname="backend_kinds")
def no_kinds():
    return ()


def plugin_for(said: object) -> SimpleNamespace:
    return SimpleNamespace(orac_hooks=said, backend_kinds=no_kinds)


def newer_minor() -> str:
    return str(HookVersion(HERE.major, HERE.minor + 1))


@hookimpl
def backend_kinds():
    raise AssertionError("a plugin that does not fit was called")


NEWER_MAJOR = SimpleNamespace(orac_hooks=str(HERE.major + 1), backend_kinds=backend_kinds)
NEWER_MINOR = SimpleNamespace(orac_hooks=newer_minor(), backend_kinds=backend_kinds)
OLDER = SimpleNamespace(orac_hooks=str(HERE.major - 1), backend_kinds=backend_kinds)
UNREADABLE = SimpleNamespace(orac_hooks=1.0, backend_kinds=backend_kinds)
FITTING = plugin_for(HOOK_VERSION)


def test_plugins_built_for_other_hooks_are_put_aside_uncalled_and_stop_no_other():
    here = "tests.core.test_hook_version"
    names = ("NEWER_MAJOR", "NEWER_MINOR", "OLDER", "UNREADABLE", "FITTING")
    plugins = Plugins.discover([EntryPoint(name, f"{here}:{name}", "orac") for name in names])
    assert list(plugins.plugins) == ["FITTING"]
    why = plugins.broken
    assert f"hooks {HERE.major + 1}.0, this ORAC has {HOOK_VERSION}; upd" in why["NEWER_MAJOR"]
    assert f"built for hooks {newer_minor()}" in why["NEWER_MINOR"]
    assert "update the plugin" in why["OLDER"]
    assert "orac_hooks is 1.0, which is no version" in why["UNREADABLE"]


def test_a_plugin_that_imports_what_is_not_there_is_told_that_it_may_not_fit(tmp_path, monkeypatch):
    (tmp_path / "from_the_future.py").write_text("from orac_core import Teleport\n")
    (tmp_path / "lacking.py").write_text("import module_that_is_not_there\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ("from_the_future", "lacking")
    why = Plugins.discover([EntryPoint(name, name, "orac") for name in names]).broken
    assert f"may be built for other hooks than {HOOK_VERSION}" in why["from_the_future"]
    assert "other hooks" not in why["lacking"]


def test_the_plugins_that_ship_with_orac_say_what_they_are_built_for():
    shipped = [it for it in Plugins.discover().plugins.values() if it.distribution == "orac"]
    assert shipped
    assert {it.hooks for it in shipped} == {HOOK_VERSION}


def contract() -> dict[str, object]:
    """Return what a plugin can see of the hooks: arguments, and the values that pass."""
    hooks = {name: getattr(hookspecs, name) for name in ("backend_kinds", *REQUIRED, *OPTIONAL)}
    values: dict[str, dict[str, str]] = {}
    for hook in hooks.values():
        for hint in get_type_hints(hook).values():
            described(hint, values)
    return {
        "version": HOOK_VERSION,
        "required": list(REQUIRED),
        "hooks": {name: list(inspect.signature(it).parameters) for name, it in hooks.items()},
        "values": dict(sorted(values.items())),
    }


def described(hint: object, values: dict[str, dict[str, str]]) -> None:
    """Add to *values* each attrs class that stands in *hint*, with its fields."""
    for part in hint if isinstance(hint, list) else get_args(hint):
        described(part, values)
    if not isinstance(hint, type) or not attrs.has(hint) or hint in SERVICES:
        return
    if hint.__name__ not in values:
        found = attrs.fields(attrs.resolve_types(hint))
        values[hint.__name__] = {
            it.name: "needed" if it.default is attrs.NOTHING else "has a default" for it in found
        }
        for it in found:
            described(it.type, values)


def test_hooks_that_change_get_another_version():
    """After a change of the hooks, raise ``HOOK_VERSION`` and keep what ``contract`` returns."""
    assert contract() == json.loads(KEPT.read_text()), (
        "the hooks or their values have changed: raise HOOK_VERSION as docs/reference/hooks.md "
        "says, and write what contract() returns to tests/data/hooks.json"
    )
