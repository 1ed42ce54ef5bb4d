"""Benchmarks: run one, list them, show one, and what follows from them."""

from contextlib import aclosing

from aiohttp import web

from orac_core import InvalidRequest
from orac_core.benchmark import Benchmarks

from .. import benches, reports, sse
from ..body import read, reply
from ..keys import WORKSHOP
from ..middlewares import POLICY
from ..query import query


async def run_benchmark(request: web.Request) -> web.StreamResponse:
    """``POST /v1/benchmark``; a client that leaves ends the run."""
    body = await read(request, benches.BenchmarkBody, optional=True)
    events = reports.run(request.app[WORKSHOP].benchmarks, body)
    if body.stream:
        return await sse.respond(request, events)
    async with aclosing(events):
        async for name, data in events:
            if name == "done":
                return reply(data)
    raise AssertionError("unreachable: a run ends with its report or raises")


async def list_benchmarks(request: web.Request) -> web.StreamResponse:
    """``GET /v1/benchmarks``."""
    return reply(
        await reports.listed(request.app[WORKSHOP].benchmarks, query(request, benches.ListQuery))
    )


async def show_benchmark(request: web.Request) -> web.StreamResponse:
    """``GET /v1/benchmarks/{id}``."""
    asked, name = query(request, benches.ShowQuery), request.match_info["id"]
    if asked.against is not None:
        return await _comparison(
            request.app[WORKSHOP].benchmarks, asked.against, name, asked.format
        )
    if asked.format == "json":
        found = await reports.document(
            request.app[WORKSHOP].benchmarks, name, samples=asked.samples
        )
        return reply(found)
    return _text(
        await reports.exported(request.app[WORKSHOP].benchmarks, name, asked.format),
        reports.FORMS[asked.format],
    )


async def recommend(request: web.Request) -> web.StreamResponse:
    """``GET /v1/recommendations``."""
    return reply(await reports.recommended(request.app[WORKSHOP].benchmarks))


async def _comparison(benchmarks: Benchmarks, old: str, new: str, form: str) -> web.StreamResponse:
    if form == "json":
        return reply(await reports.compared(benchmarks, old, new))
    if form != "markdown":
        problem = "must be json or markdown beside `against`"
        raise InvalidRequest(f"format: {problem}", {"format": problem})
    return _text(await reports.compared_as_text(benchmarks, old, new), reports.FORMS[form])


def _text(text: str, form: reports.Form) -> web.Response:
    headers = {POLICY: form.policy} if form.policy else None
    return web.Response(
        body=text.encode(errors="replace"),
        content_type=form.content_type,
        charset="utf-8",
        headers=headers,
    )
