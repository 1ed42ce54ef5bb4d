"""The promises of the hook contract, each with its check."""

from ..promise import Promise
from .answering import ANSWERING
from .embedding import EMBEDDING
from .fetching import FETCHING
from .leaving import LEAVING
from .listing import LISTING
from .loading import LOADING
from .offering import OFFERING
from .ordering import ORDERING
from .refusing import REFUSING

PROMISES: tuple[Promise, ...] = (
    *(*LISTING, *LOADING, *ANSWERING, *LEAVING, *REFUSING),
    *(*EMBEDDING, *OFFERING, *FETCHING, *ORDERING),
)
"""All promises of a backend, in an order in which they are best mended."""

__all__ = ["PROMISES"]
