"""What goes wrong, when a test wants it; all of it is off until then."""

import asyncio

from attrs import define

KILLED = "llama-server process has terminated: signal: killed"


@define(eq=False)
class Faults:
    """Set an attribute, and the requests that come from then on meet the fault.

    An `asyncio.Event` holds up what it is named for while it is clear. Those that count lines
    concern streams; with a count of 0 they concern answers in one piece too.

    Attributes:
        paths: Where the faults of the wire apply, from ``end_after`` to ``redirect_to``; empty
            for everywhere.
        end_after: The answer ends in order after so many lines, without its last one.
        close_after: The connection is closed in the middle of the answer.
        reset_after: The connection is reset, so that the client's next read fails.
        error_after: A line with ``error_text`` stands in place of the rest.
        drop: Every connection is reset before an answer.
        html: Status of a web page that stands in place of every answer.
        redirect_to: Base URL to which every request is sent on, with 307.
        busy: Answer 503 to so many requests for a model; -1 for all.
        hold_first: Holds up the first token.
        hold_tokens: Holds up every token from ``hold_from`` on.
        hold_from: The first token is 0.
        hold_load: Holds up the loading of a model.
        frozen: Holds up whatever an engine process would answer; the rest goes on.
        first_delay_s: Wait before the first token.
        token_delay_s: Wait before each further one.
        out_of_memory: Loading fails for want of memory.
        load_error: Loading fails with this text.
        engine_error: Every answer of a loaded model is 500 with this text, as `KILLED`.
        vram_share: How much of a model is on the GPU, from 0.0 to 1.0.
        not_found: Generating answers that the model is not there, whatever /api/ps says.
        slow_unload: How often /api/ps still shows what was unloaded; -1 for ever. None for what
            the version does.
        upload_reset_after: The connection is reset after so many bytes of an upload.
        upload_full: The disk is full at an upload.
        create_full: The disk is full at a create.
        pull_error_after: A pull fails after so many lines.
        hides_cached: Leave ``prompt_eval_count`` out when the prompt is the one before, as some
            releases do.
        byte_at_a_time: Send every body in pieces of one byte.
        bytes_per_s: Send no faster than this.
    """

    paths: tuple[str, ...] = ()
    end_after: int | None = None
    close_after: int | None = None
    reset_after: int | None = None
    error_after: int | None = None
    error_text: str = "an error was encountered while running the model: unexpected EOF"
    drop: bool = False
    html: int | None = None
    redirect_to: str | None = None
    busy: int = 0
    hold_first: asyncio.Event | None = None
    hold_tokens: asyncio.Event | None = None
    hold_from: int = 1
    hold_load: asyncio.Event | None = None
    frozen: asyncio.Event | None = None
    first_delay_s: float = 0
    token_delay_s: float = 0
    out_of_memory: bool = False
    load_error: str | None = None
    engine_error: str | None = None
    vram_share: float = 0.0
    not_found: bool = False
    slow_unload: int | None = None
    upload_reset_after: int | None = None
    upload_full: bool = False
    create_full: bool = False
    pull_error_after: int | None = None
    hides_cached: bool = False
    byte_at_a_time: bool = False
    bytes_per_s: float | None = None

    def concern(self, path: str) -> bool:
        """Whether the faults that ``paths`` limits apply to a path."""
        return not self.paths or path in self.paths

    async def before_token(self, number: int) -> None:
        """Wait as long as a token is held up."""
        if self.hold_first is not None and not number:
            await self.hold_first.wait()
        if self.hold_tokens is not None and number >= self.hold_from:
            await self.hold_tokens.wait()
        await asyncio.sleep(self.token_delay_s if number else self.first_delay_s)

    async def before_engine(self) -> None:
        """Wait while the engines are frozen."""
        if self.frozen is not None:
            await self.frozen.wait()
