"""``orac prompt``: ask a model and print its answer."""

import json
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any, Literal

import click

from orac_core import GenerateOptions, OracError

from .client import Json
from .door import open_door
from .options import json_of, url_option
from .output import Waiting, note, piece, waiting
from .question import Question
from .running import FAILED, run
from .setup import keep_alive_option

CUT = {
    "length": "the answer was cut: it reached the limit of tokens; see --max-tokens",
    "deadline": "the answer was cut: its time was over",
}


class Format(click.ParamType[Any]):
    """``json``, or a file with a JSON schema."""

    name = "json|FILE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Literal["json"] | Mapping[str, Any]:
        """Read the schema; a usage error when it can not be."""
        if value == "json":
            return "json"
        try:
            schema: object = json.loads(Path(value).read_text(encoding="utf-8"))
        except OSError as error:
            self.fail(f"{value}: {error.strerror}", param, ctx)
        except (ValueError, RecursionError) as error:
            self.fail(f"{value}: no JSON: {error}", param, ctx)
        if not isinstance(schema, dict):
            self.fail(f"{value}: a JSON schema is an object", param, ctx)
        return schema


def whole_text(_context: click.Context, _argument: click.Parameter, text: str) -> str:
    """Return the text to answer, from stdin when it is ``-``; a usage error when it is empty."""
    try:
        text = sys.stdin.read() if text == "-" else text
        text.encode()
    except UnicodeError:
        raise click.BadParameter("it is no text in UTF-8") from None
    if not text.strip():
        raise click.BadParameter("it is empty; say what to answer")
    return text


@click.command("prompt")
@click.argument("model")
@click.argument("text", callback=whole_text)
@click.option("--system", help="How to answer: what the model is told before TEXT.")
@click.option(
    "--max-tokens", type=click.IntRange(min=1), metavar="N", help="Longest answer, in tokens."
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0),
    metavar="X",
    help="0 always takes the likeliest token.",
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Makes sampling repeatable.")
@click.option(
    "--format",
    "wanted",
    type=Format(),
    help="Answer in JSON, or by the JSON schema in FILE.",
)
@click.option(
    "--stream/--no-stream",
    default=None,
    help="Print the answer while it is written.  [default: on a terminal]",
)
@keep_alive_option
@url_option
@json_of(
    "the whole answer of `POST /v1/prompt`; with --stream each event as a line of its own, "
    '`{"event": "chunk", "text": …}`, and last `{"event": "done", …}` with the whole answer'
)
def prompt_command(  # noqa: PLR0913 - click passes each option by itself
    *,
    model: str,
    text: str,
    system: str | None,
    max_tokens: int | None,
    temperature: float | None,
    seed: int | None,
    wanted: Literal["json"] | Mapping[str, Any] | None,
    url: str,
    stream: bool | None,
    keep_alive: str | None,
    in_json: bool,
) -> None:
    """Ask MODEL and print its answer. TEXT may be - to read it from stdin.

    Without a server the model is loaded in this process, and unloaded at the end. With --json and
    --stream each event of the stream is a line of its own, the last one the whole answer.

    The exit code is 1 also when the answer breaks off, or lacks the format that was asked for.
    """
    options = GenerateOptions(temperature=temperature, seed=seed, max_tokens=max_tokens)
    question = Question(model, text, system, wanted, options, keep_alive)
    streams = sys.stdout.isatty() and not in_json if stream is None else stream
    run(_answer(question, url, streams=streams, in_json=in_json))


async def _answer(question: Question, url: str, *, streams: bool, in_json: bool) -> None:
    async with open_door(url) as door, aclosing(door.prompt(question)) as events:
        with waiting(f"{question.model} is at work") as line:
            answer = await _shown(events, line, streams=streams, in_json=in_json)
    _judge(answer)


async def _shown(
    events: AsyncGenerator[tuple[str, Json], None],
    line: Waiting,
    *,
    streams: bool,
    in_json: bool,
) -> Json:
    """Write the events as they come; return the last one, which is the answer."""
    data: Json = {}
    try:
        async for name, data in events:
            written = _written(name, data, streams=streams, in_json=in_json)
            if written:
                line.stop()
                piece(written)
    except OracError:
        if streams and data and sys.stdout.isatty():
            piece("\n")
        raise
    return data


def _written(name: str, data: Json, *, streams: bool, in_json: bool) -> str:
    if in_json and streams:
        return json.dumps({"event": name, **data}, ensure_ascii=False) + "\n"
    if name != "done":
        return str(data["text"]) if streams else ""
    if in_json:
        return json.dumps(data, ensure_ascii=False, indent=2) + "\n"
    return "\n" if streams else f"{data['response']}\n"


def _judge(answer: Json) -> None:
    """Say in which way the answer is not whole; fail when it is not what was asked for."""
    if answer["finish_reason"] in CUT:
        note(CUT[answer["finish_reason"]])
    if answer["truncated_prompt"]:
        note("the engine dropped a part of the prompt: it is longer than the model's context")
    if answer["format_valid"] is False:
        note("the answer does not have the format that was asked for")
        raise SystemExit(FAILED)
