"""ORAC as a service: HTTP interface, dashboard and the command ``orac``."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import create_app
    from .service import serve

__all__ = ["create_app", "serve"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: ``orac --help`` needs no HTTP library."""
    if name == "create_app":
        from .app import create_app  # noqa: PLC0415 - see above

        return create_app
    if name == "serve":
        from .service import serve  # noqa: PLC0415 - see above

        return serve
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
