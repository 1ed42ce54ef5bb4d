"""What runs on a node of the cluster: one model behind plain data."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from attrs import evolve

from orac_core import BackendError, Chunk, EmbedRequest, GenerateRequest, OracError

from .batches import batches
from .inner import Inner
from .spec import Inside
from .wire import END, ITEM, TAKEN, Failure, failed, packed, unpacked

BEGIN, CLOSE = "<orac>", "</orac>"
"""What a failure to start stands between in the text that Ray makes of it."""

OF_REPLICAS = frozenset({"generate", "embed", "describe"})
"""What a replica is asked; each yields messages, of which the last is `END` or `ERROR`."""

_SIGN_S = 0.02  # each message costs: a question that is answered so soon needs no other sign


class Replica:
    """A replica of a deployment of Ray Serve, which makes and asks it.

    Ray makes it anew when it fails, on another node when its node has died.
    """

    async def __init__(self, inside: bytes) -> None:  # type: ignore[misc]  # Ray Serve awaits it
        self.inside = unpacked(inside, Inside)
        try:
            self.inner = await Inner.open(self.inside)
        except OracError as error:
            told = packed(Failure.of(error)).hex()
            raise RuntimeError(f"{error} {BEGIN}{told}{CLOSE}") from None

    async def generate(self, request: bytes) -> AsyncGenerator[bytes, None]:
        """Yield the messages of an answer, its pieces in lists; what follows `END` is no more."""
        try:
            asked = unpacked(request, GenerateRequest)
            stream = batches(self.inner.generate(asked), self.inside.pause_s, _SIGN_S)
            async with aclosing(stream) as lists:
                async for pieces in lists:
                    yield _message(pieces)
        except OracError as error:
            yield failed(error)
        except Exception as error:  # noqa: BLE001 - nothing but plain data crosses
            yield failed(_unforeseen(error))

    async def embed(self, request: bytes) -> AsyncGenerator[bytes, None]:
        """Yield that it is taken, and then the vectors of texts, or why there are none."""
        yield TAKEN
        try:
            yield END + packed(await self.inner.embed(unpacked(request, EmbedRequest)))
        except OracError as error:
            yield failed(error)
        except Exception as error:  # noqa: BLE001 - as above
            yield failed(_unforeseen(error))

    async def describe(self, _: bytes) -> AsyncGenerator[bytes, None]:
        """Yield the digest of what it was made of, the load, and the model as it is here."""
        try:
            info = await self.inner.info()
        except OracError as error:
            yield failed(error)
        else:
            yield END + packed((self.inside.digest, self.inside.request, evolve(info, file=None)))

    async def check_health(self) -> None:
        """Return when the model can answer; Ray asks, and replaces a replica that raises."""
        await self.inner.require_ready()

    async def __del__(self) -> None:
        """Free the model; Ray awaits this before it ends the process."""
        if inner := getattr(self, "inner", None):
            await inner.close()


def _message(pieces: list[Chunk]) -> bytes:
    """Return pieces as a message; the last of an answer says that it is."""
    if not pieces:
        return TAKEN
    return (END if pieces[-1].done else ITEM) + packed(pieces)


def _unforeseen(error: Exception) -> OracError:
    return BackendError(f"{type(error).__name__}: {error}")
