"""Which parameters hold for an answer: those of the request, else the role's, else all models'."""

from operator import attrgetter
from typing import Any

from attrs import fields

from ..conversation import GenerateOptions

NAMES = tuple(each.name for each in fields(GenerateOptions))
OF_ALL = attrgetter(*NAMES)
NONE = GenerateOptions()


def merged(first: GenerateOptions, *others: GenerateOptions) -> GenerateOptions:
    """Return what holds of several layers: of each parameter what the last says that says any."""
    values: list[Any] = list(OF_ALL(first))
    for layer in others:
        for place, value in enumerate(OF_ALL(layer)):
            if value is not None and value != ():
                values[place] = value
    return GenerateOptions(*values)
