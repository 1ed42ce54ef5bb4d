"""A report as bytes, and back: JSON, compressed when it is large."""

import json
import math
import zlib
from typing import Any

import cattrs
import orjson
from attrs import evolve, frozen

from .results import Report, Sample

COMPRESSED_FROM_BYTES = 4096
"""Shorter documents stay as they are."""

MOST_BYTES = 32 << 20
"""Of a document before it is compressed; a longer one is kept without its raw samples."""

_LEVEL = 6
_NO_REPORT = (
    *(zlib.error, cattrs.errors.CattrsError, RecursionError),
    *(ValueError, TypeError, KeyError, AttributeError),
)


class Unreadable(ValueError):
    """The bytes hold no report; the text says why."""


@frozen
class Record:
    """A report as it is kept.

    Attributes:
        document: Its JSON.
        compressed: Whether that is packed by zlib.
    """

    document: bytes
    compressed: bool


def pack(report: Report) -> Record:
    """Return *report* as bytes; a number that is none becomes null.

    One that would take more than `MOST_BYTES` goes without the gaps between the pieces of its
    answers, and when that does not do without its samples; what they come to is always kept.
    """
    document = next(found for found in map(_json, _slimmed(report)) if found is not None)
    if len(document) < COMPRESSED_FROM_BYTES:
        return Record(document, compressed=False)
    return Record(zlib.compress(document, _LEVEL), compressed=True)


def unpack(record: Record) -> Report:
    """Return the report that was packed.

    Raises:
        Unreadable: these bytes are none that `pack` made.
    """
    try:
        document = zlib.decompress(record.document) if record.compressed else record.document
        return _CONVERTER.structure(_parsed(document), Report)
    except _NO_REPORT as error:
        raise Unreadable(f"its record is damaged ({type(error).__name__})") from error


def _slimmed(report: Report) -> tuple[Report, Report, Report]:
    """Return *report* as it is, without the gaps, without the samples."""
    bare: tuple[Sample, ...] = tuple(evolve(sample, gaps_s=()) for sample in report.samples)
    return report, evolve(report, samples=bare), evolve(report, samples=(), devices=())


def _json(report: Report) -> bytes | None:
    """Return the document; None when it is too long and there is something to leave out."""
    value = _CONVERTER.unstructure(report)
    try:
        document = orjson.dumps(value)
    except TypeError:  # half a surrogate pair, which an engine's JSON may hold, or a huge integer
        document = json.dumps(value).encode()
    return document if len(document) <= MOST_BYTES or not report.samples else None


def _parsed(document: bytes) -> Any:
    try:
        return orjson.loads(document)
    except orjson.JSONDecodeError:
        return json.loads(document)


def _number(value: float | None, _: type[float]) -> float:
    return math.nan if value is None else float(value)


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_structure_hook(float, _number)
    return converter


_CONVERTER = _converter()
