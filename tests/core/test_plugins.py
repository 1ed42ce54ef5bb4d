"""The relay, and every trap of pluggy that it is there to avoid."""

import asyncio
from contextlib import aclosing, asynccontextmanager
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest
from attrs import define, field, frozen

from orac_core import (
    BackendError,
    BackendKind,
    Chunk,
    GenerateRequest,
    Host,
    Instance,
    InstanceHealth,
    InvalidRequest,
    LoadProgress,
    LoadRequest,
    ModelFiles,
    ModelInfo,
    ModelNotFound,
    PluginError,
    Plugins,
    hookimpl,
)
from orac_core.plugins import REQUIRED
from tests.scripted import ScriptedBackend


async def everything(stream):
    async with aclosing(stream):
        return [item async for item in stream]


def words(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


@frozen
class NoSettings:
    pass


def kind(name: str) -> BackendKind:
    @asynccontextmanager
    async def opened(settings, host):
        yield ScriptedBackend()

    return BackendKind(name, NoSettings, opened)


def plugin_with(*kinds, **hooks):
    return SimpleNamespace(backend_kinds=hookimpl(lambda: list(kinds)), **hooks)


async def loaded(backend: ScriptedBackend, plugins: Plugins | None = None) -> Instance:
    instance = (plugins or Plugins()).bind("here", backend)
    await everything(instance.load(LoadRequest("small")))
    return instance


async def test_each_call_reaches_its_own_backend_though_others_are_registered_later():
    plugins = Plugins()
    first, second = ScriptedBackend(words=("first",)), ScriptedBackend(words=("second",))
    one, two = plugins.bind("one", first), plugins.bind("two", second)
    await everything(one.load(LoadRequest("small")))
    await everything(two.load(LoadRequest("small")))
    assert words(await everything(one.generate(GenerateRequest("small")))) == "first"
    assert words(await everything(two.generate(GenerateRequest("small")))) == "second"


@define(eq=False)
class Stopwatch:
    """A wrapper as a third party would write one."""

    took: list[tuple[str, float]] = field(factory=list)

    @hookimpl(wrapper=True)
    def unload(self, instance, model):
        answer = yield
        return self._timed(instance, answer)

    async def _timed(self, instance, answer):
        started = asyncio.get_running_loop().time()
        try:
            return await answer
        finally:
            self.took.append((instance, asyncio.get_running_loop().time() - started))

    @hookimpl(wrapper=True)
    def generate(self, request):
        stream = yield
        return self._shouted(stream)

    async def _shouted(self, stream):
        async with aclosing(stream):
            async for chunk in stream:
                yield Chunk(chunk.text.upper(), done=chunk.done)


async def test_a_wrapper_written_once_wraps_every_instance():
    plugins, watch = Plugins(), Stopwatch()
    plugins.register("watch", watch)
    for name in ("one", "two"):
        await plugins.bind(name, ScriptedBackend()).unload("small")
    assert [instance for instance, _ in watch.took] == ["one", "two"]


async def test_a_wrapper_around_the_awaitable_measures_the_work_and_not_the_call():
    plugins, watch, backend = Plugins(), Stopwatch(), ScriptedBackend()
    plugins.register("watch", watch)
    gate = backend.hold("unload")
    unload = asyncio.create_task(plugins.bind("here", backend).unload("small"))
    await backend.reached["unload"].wait()
    assert watch.took == []
    gate.set()
    await unload
    assert len(watch.took) == 1


async def test_a_wrapper_may_change_the_stream():
    plugins = Plugins()
    plugins.register("watch", Stopwatch())
    instance = await loaded(ScriptedBackend(), plugins)
    assert words(await everything(instance.generate(GenerateRequest("small")))) == "ONE TWO THREE"


def test_a_backend_that_is_not_hashable_is_refused_with_the_cure():
    @define
    class Unhashable:
        name: str

    with pytest.raises(PluginError, match=r"Unhashable is not hashable; declare it @define\(eq="):
        Plugins().bind("here", Unhashable("x"))


def test_two_backends_that_are_equal_can_both_be_bound():
    @frozen
    class Equal:
        models = hookimpl(lambda self: None)
        load = hookimpl(lambda self: None)
        unload = hookimpl(lambda self: None)
        generate = hookimpl(lambda self: None)
        health = hookimpl(lambda self: None)

    plugins = Plugins()
    assert plugins.bind("one", Equal()).name == "one"
    assert plugins.bind("two", Equal()).name == "two"


@pytest.mark.parametrize("lacking", REQUIRED)
def test_a_backend_that_lacks_a_hook_is_refused_when_it_is_bound(lacking):
    hooks = {name: hookimpl(lambda instance: None) for name in REQUIRED if name != lacking}
    with pytest.raises(PluginError, match=f"lacks {lacking}"):
        Plugins().bind("here", Anything(**hooks))


class Anything:
    """An object with whatever attributes it is given."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


def test_a_misspelt_hook_is_refused_when_it_is_bound():
    class Misspelt(ScriptedBackend):
        @hookimpl
        async def unlaod(self, model):
            """Never called."""

    with pytest.raises(PluginError, match="unlaod"):
        Plugins().bind("here", Misspelt())


def test_a_hook_that_asks_for_arguments_there_are_not_is_refused():
    class Asking(ScriptedBackend):
        @hookimpl
        async def unload(self, model, how):  # type: ignore[override]
            """Never called."""

    with pytest.raises(PluginError, match="how"):
        Plugins().bind("here", Asking())


@pytest.mark.parametrize("operation", REQUIRED)
def test_a_module_that_would_answer_for_every_backend_is_refused(operation):
    hijack = plugin_with(**{operation: hookimpl(lambda instance: None)})
    with pytest.raises(PluginError, match=f"{operation} of a plugin module would answer for every"):
        Plugins().register("hijack", hijack)


def test_a_plugin_whose_kinds_are_no_kinds_is_refused():
    with pytest.raises(PluginError, match="must name BackendKind, not str"):
        Plugins().register("odd", plugin_with("llamacpp"))


def test_a_kind_that_is_taken_is_refused():
    plugins = Plugins()
    plugins.register("one", plugin_with(kind("echo")))
    with pytest.raises(PluginError, match="'echo' is taken"):
        plugins.register("two", plugin_with(kind("echo")))
    assert list(plugins.plugins) == ["one"]


def test_a_broken_plugin_is_kept_aside_with_its_reason_and_stops_no_other():
    found = [
        EntryPoint("gone", "module_that_is_not_there", "orac"),
        EntryPoint("no_hooks_at_all", "json", "orac"),
        EntryPoint("here", "tests.core.test_plugins:GOOD", "orac"),
    ]
    plugins = Plugins.discover(found)
    assert set(plugins.kinds) == {"good"}
    assert set(plugins.broken) == {"gone", "no_hooks_at_all"}
    assert "No module named 'module_that_is_not_there'" in plugins.broken["gone"]
    assert "implements no hook" in plugins.broken["no_hooks_at_all"]


HOST = Host(ModelFiles(()))
GOOD = plugin_with(kind("good"))


def test_the_kinds_that_ship_with_orac_are_found_like_anybodys():
    plugins = Plugins.discover()
    assert "llamacpp" in plugins.kinds
    assert plugins.plugins["llamacpp"].distribution == "orac"
    assert plugins.broken == {}


async def test_closing_the_stream_reaches_the_backend_through_every_wrapper():
    plugins, backend = Plugins(), ScriptedBackend()
    plugins.register("watch", Stopwatch())
    instance = await loaded(backend, plugins)
    async with aclosing(instance.generate(GenerateRequest("small"))) as stream:
        assert (await anext(stream)).text == "ONE "
        assert backend.generating == 1
    assert (backend.generating, backend.closed_early) == (0, 1)


async def test_closing_a_load_reaches_the_backend():
    closed = []

    class Slow(ScriptedBackend):
        @hookimpl
        async def load(self, request):
            try:
                yield LoadProgress("read")
                yield LoadProgress("start")
            finally:
                closed.append(request.model)

    async with aclosing(Plugins().bind("here", Slow()).load(LoadRequest("small"))) as stages:
        await anext(stages)
    assert closed == ["small"]


async def test_an_error_that_is_no_oracs_names_instance_and_operation_and_keeps_its_cause():
    backend = ScriptedBackend(failures={"unload": OSError("disk on fire")})
    with pytest.raises(BackendError, match="here: unload failed: disk on fire") as caught:
        await Plugins().bind("here", backend).unload("small")
    assert (caught.value.instance, caught.value.operation) == ("here", "unload")
    assert isinstance(caught.value.__cause__, OSError)


async def test_an_error_in_a_stream_names_instance_and_operation():
    backend = ScriptedBackend(failures={"word 1": RuntimeError("gone")})
    instance = await loaded(backend)
    with pytest.raises(BackendError, match="here: generate failed: gone") as caught:
        await everything(instance.generate(GenerateRequest("small")))
    assert caught.value.operation == "generate"


async def test_an_error_of_oracs_own_passes_as_it_is():
    with pytest.raises(ModelNotFound):
        await everything(Plugins().bind("here", ScriptedBackend()).load(LoadRequest("absent")))


def backend_that_yields(*chunks) -> Instance:
    class Fixed(ScriptedBackend):
        @hookimpl
        async def generate(self, request):
            for chunk in chunks:
                yield chunk

    return Plugins().bind("here", Fixed())


async def test_a_stream_that_breaks_off_is_an_error_and_never_an_answer():
    with pytest.raises(BackendError, match="broke off before the answer was done"):
        await everything(backend_that_yields(Chunk("a")).generate(GenerateRequest("small")))


async def test_a_stream_that_goes_on_after_its_end_is_an_error():
    instance = backend_that_yields(Chunk(done=True), Chunk("more", done=True))
    with pytest.raises(BackendError, match="went on after its last chunk"):
        await everything(instance.generate(GenerateRequest("small")))


async def test_a_stream_of_something_else_is_a_plugins_error():
    with pytest.raises(PluginError, match="must yield Chunk, not str"):
        await everything(backend_that_yields("text").generate(GenerateRequest("small")))


async def test_a_hook_that_is_not_async_is_a_plugins_error():
    class Plain(ScriptedBackend):
        @hookimpl
        def unload(self, model):
            return None

        @hookimpl
        def generate(self, request):
            return [Chunk(done=True)]

    instance = Plugins().bind("here", Plain())
    with pytest.raises(PluginError, match="unload must be `async def`; it returned NoneType"):
        await instance.unload("small")
    with pytest.raises(PluginError, match="generate must be an async generator"):
        await everything(instance.generate(GenerateRequest("small")))


async def test_models_must_be_a_list_of_model_info():
    class Odd(ScriptedBackend):
        @hookimpl
        async def models(self):
            return ["small"]

    with pytest.raises(PluginError, match="list of ModelInfo"):
        await Plugins().bind("here", Odd()).models()
    assert await Plugins().bind("here", ScriptedBackend()).models() == [
        ModelInfo("small"),
        ModelInfo("large"),
    ]


async def test_health_never_raises():
    broken = ScriptedBackend(failures={"health": OSError("gone")})
    health = await Plugins().bind("here", broken).health()
    assert health == InstanceHealth(usable=False, message="here: health failed: gone")


async def test_health_of_the_wrong_type_is_not_usable():
    class Odd(ScriptedBackend):
        @hookimpl
        async def health(self):
            return True

    health = await Plugins().bind("here", Odd()).health()
    assert (health.usable, health.message) == (False, "health answered bool, not InstanceHealth")


async def test_a_kind_that_can_not_be_opened_is_an_error_that_names_the_instance():
    @asynccontextmanager
    async def opened(settings, host):
        raise OSError("no such device")
        yield

    broken = BackendKind("broken", NoSettings, opened)
    with pytest.raises(BackendError, match="here: open failed: no such device"):
        async with Plugins().open("here", broken, NoSettings(), HOST):
            pass


async def test_a_backend_whose_models_are_objects_hands_them_out():
    @define(eq=False)
    class Objects(ScriptedBackend):
        @hookimpl
        async def obtain(self, model):
            return {"of": model}

    instance = Plugins().bind("here", Objects())
    assert await instance.obtain("small") == {"of": "small"}


async def test_a_backend_that_has_no_objects_is_not_asked_for_one():
    with pytest.raises(InvalidRequest, match="here can not hand out objects"):
        await Plugins().bind("here", ScriptedBackend()).obtain("small")
