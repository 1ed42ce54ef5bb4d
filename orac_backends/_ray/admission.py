"""Whether a cluster takes ORAC's token: Ray asks for long when it does not, and never says so."""

from importlib import import_module

from ray.exceptions import AuthenticationError


def require_admitted(address: str) -> None:
    """Refuse at once where the cluster asks for another token.

    Raises:
        PermissionError: saying how to have the right one.
    """
    try:
        _greet(address)
    except AuthenticationError as error:
        raise PermissionError(
            "the cluster asks for a token, and ORAC has none or another; where ORAC runs, set "
            "RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to the file (or RAY_AUTH_TOKEN to the "
            "token) that the head was started with",
        ) from error
    except Exception:  # noqa: BLE001 - Ray's errors have no root, and joining tells what is wrong
        return


def _greet(address: str) -> None:
    """Ask the head who it is, with the token that Ray would take; none of this is public."""
    from ray._private import services, worker  # noqa: PLC0415 - a Ray without them tells it late

    worker.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    worker.ensure_token_if_auth_enabled(None, create_token_if_missing=False)
    head = services.canonicalize_bootstrap_address(address)
    import_module("ray._raylet").GcsClient(address=head)
