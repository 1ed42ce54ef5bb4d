"""Loads and unloads at another ORAC, on behalf of this one."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import orjson
from attrs import define

from orac_core import BackendError, LoadProgress, LoadRequest, OracError

from .._http import HttpClient, Reply
from .._sse import Oversized, SseParser
from . import fellow
from .key import Key
from .refusals import ServerRefusals, again, envelope, retry_after_s

_OK = 200
_FORBIDDEN = (401, 403)
_GRANTED = "admin_key_file, or its variable in admin_key_env"


class NotAllowed(BackendError):
    """The key is none of an administrator there."""


@define(eq=False)
class Administration:
    """The routes of another ORAC that take the key of an administrator.

    Attributes:
        client: The server, with that key in each request.
        key: The key, kept out of errors.
        own: Whether it is a key of its own, and not that of all other questions.
        idle_s: Longest silence of the server.
    """

    client: HttpClient
    key: Key
    own: bool
    idle_s: float

    async def load(self, request: LoadRequest, there: str) -> AsyncGenerator[LoadProgress, None]:
        """Load the model that is called so there; closing this gives the load up there too.

        Raises:
            NotAllowed: when the key is none of an administrator.
            ModelNotFound: when it has no such model.
            InsufficientMemory: when it does not fit there.
            StateConflict: when it is loaded otherwise there, or is being examined.
            BackendError: when its load fails.
        """
        events = self._events("models/load", fellow.body(request, there), request.model)
        async with aclosing(events) as stages:
            async for told in stages:
                if "stage" in told:
                    yield fellow.progress(told)

    async def unload(self, model: str, there: str) -> None:
        """Return when the memory of the model is back there.

        Raises:
            NotAllowed: when the key is none of an administrator.
            BackendError: when its unload fails.
        """
        asked = {"model": there, "stream": True}
        async with aclosing(self._events("models/unload", asked, model)) as stages:
            async for _ in stages:
                pass

    async def _events(
        self, path: str, asked: Mapping[str, Any], model: str
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """Post, and yield what each event holds; an end without ``state`` is an error."""
        parser, over = SseParser(), False
        with self.key.kept():
            async with self.client.stream("POST", path, json=asked, idle_s=self.idle_s) as stream:
                if stream.status != _OK:
                    raise self._refusal(await stream.whole(), model)
                async for read in stream:
                    for told in self._told(parser, read):
                        if error := told.get("error"):
                            raise ServerRefusals(self.client.server).of_frame(error, model)
                        over = over or "state" in told
                        yield told
            if not over:
                raise BackendError(f"{self.client.server} broke off in the middle; ask again")

    def _told(self, parser: SseParser, read: bytes) -> list[Mapping[str, Any]]:
        try:
            found = [orjson.loads(event) for event in parser.feed(read) if event]
        except (Oversized, ValueError) as error:
            raise BackendError(f"{self.client.server} sent what is no event: {error}") from error
        return [each for each in found if isinstance(each, Mapping)]

    def _refusal(self, reply: Reply, model: str) -> OracError:
        if reply.status in _FORBIDDEN:
            return NotAllowed(self._forbidden())
        error, refusals = envelope(reply.body), ServerRefusals(self.client.server)
        if error is None:
            found = refusals.of(reply.status, "no reason given")
        else:
            found = refusals.of_frame(error, model)
        return again(found, retry_after_s(reply.headers))

    def _forbidden(self) -> str:
        if self.own:
            return f"{self.client.server} did not take what {_GRANTED}, names for a key; correct it"
        return (
            f"{self.client.server} lets only its administrator load and unload models; name the "
            f"file of that key in {_GRANTED}"
        )
