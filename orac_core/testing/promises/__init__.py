"""The promises of the hook contract, each with its check."""

from ..promise import Promise
from .answering import ANSWERING
from .leaving import LEAVING
from .listing import LISTING
from .loading import LOADING
from .offering import OFFERING
from .refusing import REFUSING

PROMISES: tuple[Promise, ...] = (*LISTING, *LOADING, *ANSWERING, *LEAVING, *REFUSING, *OFFERING)
"""All promises of a backend, in an order in which they are best mended."""

__all__ = ["PROMISES"]
