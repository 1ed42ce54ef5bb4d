"""The contract of a backend: the hooks a plugin may implement.

A hook is a plain call that returns an awaitable or an async generator. Implement it with
``async def``; to wrap it, return a new awaitable or generator around the old one::

    @hookimpl(wrapper=True)
    def generate(instance, request):
        stream = yield
        return timed(instance, stream)


    async def timed(instance, stream):
        started = perf_counter()
        try:
            async with aclosing(stream):
                async for chunk in stream:
                    yield chunk
        finally:
            print(instance, perf_counter() - started)

A wrapper may time, log, count, limit, translate errors and alter the stream. It can not retry,
reroute or change the request. ``instance`` is the name of the configured backend that is called;
an implementation may leave out arguments it does not need.
"""

from collections.abc import AsyncGenerator, Awaitable, Iterable

import pluggy

from .conversation import Chunk, Embeddings, EmbedRequest, GenerateRequest
from .kinds import BackendKind
from .types import InstanceHealth, LoadProgress, LoadRequest, ModelInfo, PullProgress, PullRequest

PROJECT = "orac"
"""Name of the entry-point group, and of the project in pluggy."""

HOOK_VERSION = "1.1"
"""Version of these hooks and of the values they take and return.

The first number grows when a plugin that fitted may no longer do so, the second when there is more
that a plugin may use. A plugin says which it was built for in ``orac_hooks = "1.0"``.
"""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function or method as the implementation of the hook of the same name."""


@hookspec
def backend_kinds() -> Iterable[BackendKind]:
    """Name the kinds of backend that this plugin can open.

    The only hook that a plugin module itself implements without ``wrapper=True``.
    """


@hookspec(firstresult=True)
def models(instance: str) -> Awaitable[list[ModelInfo]]:
    """List every model the backend could serve, with its state as the engine reports it.

    A model that can not be used is listed as ``failed`` with its reason.

    Raises:
        BackendUnavailable: when the engine has to be asked and can not be reached.
    """


@hookspec(firstresult=True)
def load(instance: str, request: LoadRequest) -> AsyncGenerator[LoadProgress, None]:
    """Bring a model into memory; the generator ends when the model can answer.

    Closing the generator early gives the load up and frees what it took. Loading a model that is
    loaded already ends at once. Before it takes memory, it yields a progress of another stage than
    ``validate`` or ``upload``: there ORAC makes room, and asks for more when there is some.

    Raises:
        ModelNotFound: when this backend has no such model.
        ModelFileInvalid: when its file can not be used.
        InsufficientMemory: when it does not fit.
        BackendError: when the engine fails to load it.
    """


@hookspec(firstresult=True)
def unload(instance: str, model: str) -> Awaitable[None]:
    """Free the memory that a model holds, and return when it is back.

    No error when nothing was loaded, or the model is unknown.
    """


@hookspec(firstresult=True)
def generate(instance: str, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
    """Stream the answer; the last chunk, and only it, is done.

    Closing the generator early stops the engine. An answer that breaks off is an error.

    Raises:
        InvalidRequest: when the engine refuses the request as malformed.
        BackendUnavailable: when the model is not loaded, or the engine has died.
        BackendError: when the engine fails.
    """


@hookspec(firstresult=True)
def health(instance: str) -> Awaitable[InstanceHealth]:
    """Say whether the backend can serve; never raises because the engine is down."""


@hookspec(firstresult=True)
def embed(instance: str, request: EmbedRequest) -> Awaitable[Embeddings]:
    """Turn texts into vectors, one for each text. Not every backend can.

    Raises:
        InvalidRequest: when a text is too long, or the model makes no vectors.
        BackendUnavailable: when the model is not loaded, or the engine has died.
        BackendError: when the engine fails.
    """


@hookspec(firstresult=True)
def pull(instance: str, request: PullRequest) -> AsyncGenerator[PullProgress, None]:
    """Fetch a model onto the disk; the generator ends when it is there. Not every backend can.

    A model that is there is not fetched again, unless ``force`` asks whether it is still the same
    and it is not. The last progress may tell its ``action``. Closing the generator early stops the
    download; what has come is kept where it can be continued.

    Raises:
        InvalidRequest: when this backend can not fetch that model, or not from that source.
        ModelNotFound: when there is no such model where the engine looks.
        ModelFileInvalid: when what came is not what it should be.
        BackendError: when it can not be fetched.
    """


@hookspec(firstresult=True)
def obtain(instance: str, model: str) -> Awaitable[object]:
    """Hand out the object that a loaded model is, to the program that uses ORAC as a library.

    Only a backend whose models live in ORAC's own process can. What they can do is asked once they
    are loaded, as nobody knows it before; one that neither writes nor makes vectors is proved to be
    loaded by handing it out.

    Raises:
        BackendUnavailable: when the model is not loaded.
    """
