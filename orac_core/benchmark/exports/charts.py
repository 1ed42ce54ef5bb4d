"""The charts of a report, each with its text."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from ...statistics import Summary, area
from ..results import Report, Result, Sample
from ..samples import counted
from .figures import median, number, ranged, short
from .svg import Markup, Scale, element, text

WIDTH = 720
COLOURS = 8
MOST_POINTS = 1500
"""Drawn of one line; of more, one in so many."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 16, 44
_ROW, _HEIGHT, _LEGEND = 34, 300, 22
_NAMES = 230


@frozen
class Chart:
    """A drawing and what it says.

    Attributes:
        title: In a few words.
        drawing: An element ``svg``.
        summary: The same in words, for those who do not see it.
    """

    title: str
    drawing: Markup
    summary: str


@frozen
class _Line:
    name: str
    points: Sequence[tuple[float, float]]


def charts(report: Report) -> Iterator[Chart]:
    """Yield the charts for which a report has figures."""
    made = (latencies(report), rounds(report), trade(report), power(report))
    yield from (chart for chart in made if chart is not None)


def latencies(report: Report) -> Chart | None:
    """Return how the latencies of each model are spread; None when there are none."""
    rows = [
        (nth, result, head.latency_s, _headline(report, result))
        for nth, result in enumerate(report.results)
        if (head := result.headline) and head.latency_s
    ]
    if not rows:
        return None
    every = [1000 * one.elapsed_s for *_, samples in rows for one in samples]
    every += [1000 * found.maximum for _, _, found, _ in rows]
    height = _TOP + _ROW * len(rows) + _BOTTOM
    across = Scale.over(every, _NAMES, WIDTH - _RIGHT)
    drawn = [_spread(place, across, *row) for place, row in enumerate(rows)]
    return Chart(
        "Latency of each answer",
        _svg(height, _below(across, height, "latency, ms"), *drawn),
        "Median latency in ms, with its 95 % interval: "
        + _told((result, median(found, 1000)) for _, result, found, _ in rows),
    )


def rounds(report: Report) -> Chart | None:
    """Return the decode rates over the rounds; None when there are none."""
    lines = [
        _Line(
            result.subject.model,
            [
                (float(one.round), one.decode_tokens_per_second)
                for one in _headline(report, result)
                if one.decode_tokens_per_second is not None
            ],
        )
        for result in report.results
    ]
    return _lines(
        "Decode rate over the rounds", lines, "round", "tokens/s", "Tokens/s, first to last round: "
    )


def power(report: Report) -> Chart | None:
    """Return the power over time; None when the machine did not tell it."""
    points = list(_power(report.devices, report.started_at))
    if len(points) < 2:  # noqa: PLR2004 - a line has two ends
        return None
    chart = _lines("Power over time", [_Line("", points)], "s since the start", "W", "")
    seconds = points[-1][0] - points[0][0]
    mean = area(points) / seconds if seconds else points[0][1]
    most = max(watts for _, watts in points)
    said = f"Mean {number(mean)} W, at most {number(most)} W, over {number(seconds)} s."
    return chart and Chart(chart.title, chart.drawing, said)


def trade(report: Report) -> Chart | None:
    """Return speed against quality; None when no model has both."""
    rows = [
        (nth, result, rate, quality.score, quality.ci95)
        for nth, result in enumerate(report.results)
        if (head := result.headline)
        and (rate := head.decode_tokens_per_second)
        and (quality := result.quality)
    ]
    if not rows:
        return None
    rates = [rate.ci95[1] if rate.ci95 else rate.p50 for _, _, rate, _, _ in rows]
    across = Scale.over(rates, _LEFT, WIDTH - _RIGHT)
    up = Scale(0, 105, _HEIGHT - _BOTTOM, _TOP)
    drawn = [_crossed(across, up, *row) for row in rows]
    axes = (_below(across, _HEIGHT, "decode, tokens/s"), _beside(up, across, "quality, 0 to 100"))
    legend = _legend([(nth, result.subject.model) for nth, result, *_ in rows], _HEIGHT)
    return Chart(
        "Speed against quality",
        _svg(_HEIGHT + _LEGEND * len(rows), *axes, *drawn, legend),
        "Tokens/s and quality, with their 95 % intervals; right and up is better: "
        + _told(
            (result, f"{median(rate)} and {ranged(score, ci95)}")
            for _, result, rate, score, ci95 in rows
        ),
    )


def _spread(  # noqa: PLR0913, PLR0917 - a row's parts
    place: int,
    across: Scale,
    nth: int,
    result: Result,
    found: Summary,
    samples: Sequence[Sample],
) -> Markup:
    """Return one row: each answer as a dot, the interval as a bar, the median as a stroke."""
    y = _TOP + _ROW * (place + 0.5)
    low, high = (1000 * end for end in found.ci95 or (found.p50, found.p50))
    bar = element(
        "rect",
        class_="interval",
        x=across(low),
        y=y - 9,
        height=18,
        width=max(1.0, across(high) - across(low)),
    )
    middle = across(1000 * found.p50)
    stroke = element("line", class_="median", x1=middle, x2=middle, y1=y - 12, y2=y + 12)
    return _name(result.subject.model, y) + element(
        "g", bar, *_dots(across, y, samples), stroke, class_=f"series c{nth % COLOURS}"
    )


def _dots(across: Scale, y: float, samples: Sequence[Sample]) -> list[Markup]:
    """Return a dot for each answer, those beside each other at five heights."""
    return [
        element("circle", cx=across(1000 * one.elapsed_s), cy=y + (at % 5 - 2) * 3, r=2.5)
        for at, one in enumerate(_thinned(samples))
    ]


def _name(model: str, y: float) -> Markup:
    whole = element("title", text(model))
    return element("text", whole, text(short(model, 28)), x=_NAMES - 10, y=y + 4, text_anchor="end")


def _crossed(  # noqa: PLR0913, PLR0917 - a point's parts
    across: Scale,
    up: Scale,
    nth: int,
    result: Result,
    rate: Summary,
    score: float,
    ci95: tuple[float, float] | None,
) -> Markup:
    """Return a point with its intervals."""
    x, y = across(rate.p50), up(score)
    left, right = map(across, rate.ci95 or (rate.p50, rate.p50))
    low, high = map(up, ci95 or (score, score))
    return element(
        "g",
        element("title", text(result.subject.model)),
        element("line", x1=left, x2=right, y1=y, y2=y),
        element("line", x1=x, x2=x, y1=low, y2=high),
        element("circle", cx=x, cy=y, r=5),
        class_=f"series c{nth % COLOURS}",
    )


def _lines(title: str, lines: Sequence[_Line], below: str, beside: str, said: str) -> Chart | None:
    """Return a chart of lines; None when no line has a point."""
    full = [(nth, line) for nth, line in enumerate(lines) if line.points]
    if not full:
        return None
    every = [point for _, line in full for point in line.points]
    across = Scale.over([x for x, _ in every], _LEFT, WIDTH - _RIGHT, zero=False)
    up = Scale.over([y for _, y in every], _HEIGHT - _BOTTOM, _TOP)
    drawn = [_path(across, up, nth, line) for nth, line in full]
    axes = _below(across, _HEIGHT, below), _beside(up, across, beside)
    names = [(nth, line.name) for nth, line in full if line.name]
    height = _HEIGHT + _LEGEND * len(names)
    ends = [
        f"{line.name} {number(line.points[0][1])} to {number(line.points[-1][1])}"
        for _, line in full
    ]
    return Chart(
        title, _svg(height, *axes, *drawn, _legend(names, _HEIGHT)), f"{said}{'; '.join(ends)}."
    )


def _path(across: Scale, up: Scale, nth: int, line: _Line) -> Markup:
    places = [(across(x), up(y)) for x, y in _thinned(line.points)]
    drawn = element("polyline", points=" ".join(f"{x:g},{y:g}" for x, y in places), fill="none")
    few = len(places) <= 60  # noqa: PLR2004 - more dots than these are no dots any more
    dots = [element("circle", cx=x, cy=y, r=2.5) for x, y in places] if few else []
    return element("g", drawn, *dots, class_=f"series c{nth % COLOURS}")


def _legend(names: Sequence[tuple[int, str]], top: float) -> Markup:
    rows = [
        element(
            "g",
            element("circle", cx=_LEFT + 6, cy=top + _LEGEND * place + 6, r=5),
            class_=f"series c{nth % COLOURS}",
        )
        + element("text", text(short(name, 90)), x=_LEFT + 18, y=top + _LEGEND * place + 10)
        for place, (nth, name) in enumerate(names)
    ]
    return "".join(rows)


def _below(across: Scale, height: float, title: str) -> Markup:
    """Return an axis at the bottom, with strokes up through the drawing."""
    floor = height - _BOTTOM
    strokes = [
        element("line", class_="grid", x1=across(at), x2=across(at), y1=_TOP, y2=floor)
        + element("text", text(_tick(at)), x=across(at), y=floor + 16, text_anchor="middle")
        for at in across.ticks
    ]
    centre = (across.start + across.end) / 2
    return "".join(strokes) + element(
        "text", text(title), x=centre, y=floor + 34, text_anchor="middle", class_="axis"
    )


def _beside(up: Scale, across: Scale, title: str) -> Markup:
    """Return an axis at the left."""
    strokes = [
        element("line", class_="grid", x1=across.start, x2=across.end, y1=up(at), y2=up(at))
        + element("text", text(_tick(at)), x=across.start - 8, y=up(at) + 4, text_anchor="end")
        for at in up.ticks
    ]
    return "".join(strokes) + element("text", text(title), x=4, y=_TOP - 4, class_="axis")


def _svg(height: float, *inside: Markup) -> Markup:
    return element(
        "svg", *inside, viewBox=f"0 0 {WIDTH} {height:g}", xmlns="http://www.w3.org/2000/svg"
    )


def _headline(report: Report, result: Result) -> list[Sample]:
    if result.headline is None:
        return []
    return counted(report, result.subject.model, result.headline.workload.name)


def _power(devices: Sequence[Mapping[str, Any]], start: float) -> Iterator[tuple[float, float]]:
    """Yield when and how much, in the order of time."""
    known = [
        (float(at) - start, float(watts))
        for at, watts in ((one.get("at"), one.get("power_w")) for one in devices)
        if isinstance(at, int | float) and isinstance(watts, int | float)
    ]
    yield from sorted(point for point in known if all(map(math.isfinite, point)))


def _thinned(points: Sequence[Any]) -> Sequence[Any]:
    return points[:: len(points) // MOST_POINTS + 1]


def _told(rows: Iterator[tuple[Result, str]]) -> str:
    return "; ".join(f"{result.subject.model} {words}" for result, words in rows) + "."


def _tick(value: float) -> str:
    return f"{value:,.10g}" if abs(value) >= 1 else f"{value:.3g}"
