"""What the manifest may say about a backend of kind ``openai``."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import Attribute, field, frozen, validators

from .address import address, checked
from .dialect import DIALECTS

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _an_address(_: object, __: "Attribute[Any]", value: str) -> None:
    address(value)


def _a_proxy(_: object, attribute: "Attribute[Any]", value: str | None) -> None:
    if value is not None:
        checked(attribute.name, value)


def _no_key(_: object, attribute: "Attribute[Any]", value: object) -> None:
    if value is not None:
        raise ValueError(
            f"{attribute.name!r}: a key has no place in the manifest, which is shown and sent "
            "around; put it into a file and name that in key_file, or name an environment "
            "variable in key_env",
        )


def _a_variable(_: object, attribute: "Attribute[Any]", value: str | None) -> None:
    if value is not None and not _VARIABLE.fullmatch(value):
        told = f"{attribute.name!r} must be the name of an environment variable, not the key"
        raise ValueError(told)


def _a_dialect(_: object, __: "Attribute[Any]", value: str | None) -> None:
    if value is not None and value not in DIALECTS:
        raise ValueError(f"'dialect' must be one of {', '.join(DIALECTS)}")


@frozen
class OpenAISettings:
    """Where a server is that speaks OpenAI's API, and how to use it.

    Attributes:
        url: What OpenAI's clients call ``base_url``; ``/v1`` is added where it has no path.
        key_env: Environment variable that holds the key.
        key_file: File that holds the key and nothing else.
        admin_key_env: Environment variable that holds the key of an administrator of another ORAC,
            with which models are loaded and unloaded there; without it the key.
        admin_key_file: File that holds that key and nothing else.
        models: Models to offer, each with what the server calls it; ``{ big = "vendor/big-v2" }``;
            without it all that it lists.
        list_models: Whether to ask the server which models it has; else ``models`` is believed and
            ``GET …/models`` is never asked.
        embeddings: Those, as they are called here, that make vectors and no text, beside those of
            which the server says so.
        context_length: Tokens that prompt and answer may have together, where the server does
            not say.
        dialect: What kind of server it is; ``openai``, ``orac``, ``llama.cpp``, ``vllm`` or
            ``lmstudio``, which know more than OpenAI's API has; without it what its list gives
            away.
        metered: Whether every question may cost something, so that ORAC asks none of its own
            accord; without it that is so where it is another machine, or another ORAC.
        ca_file: Certificates to trust, instead of those of the system.
        proxy: Address of a proxy to go through; none is taken from the environment.
        connect_timeout_s: Longest time to make a connection.
        first_token_timeout_s: Longest wait for the first token, and for vectors.
        idle_timeout_s: Silence after the first token after which the server is taken for dead.
        key: Not to be given: the key itself does not belong into a manifest.
        api_key: Not to be given either.
    """

    url: str = field(validator=_an_address)
    key_env: str | None = field(default=None, validator=_a_variable, repr=False)
    key_file: Path | None = None
    admin_key_env: str | None = field(default=None, validator=_a_variable, repr=False)
    admin_key_file: Path | None = None
    models: Mapping[str, str] = field(factory=dict)
    list_models: bool = True
    embeddings: tuple[str, ...] = ()
    context_length: int | None = field(
        default=None, validator=validators.optional(validators.ge(1))
    )
    dialect: str | None = field(default=None, validator=_a_dialect)
    metered: bool | None = None
    ca_file: Path | None = None
    proxy: str | None = field(default=None, validator=_a_proxy)
    connect_timeout_s: float = field(default=5.0, validator=validators.gt(0.0))
    first_token_timeout_s: float = field(default=300.0, validator=validators.gt(0.0))
    idle_timeout_s: float = field(default=60.0, validator=validators.gt(0.0))
    key: str | None = field(default=None, validator=_no_key, repr=False)
    api_key: str | None = field(default=None, validator=_no_key, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.key_env is not None and self.key_file is not None:
            raise ValueError("give either 'key_env' or 'key_file'")
        if self.admin_key_env is not None and self.admin_key_file is not None:
            raise ValueError("give either 'admin_key_env' or 'admin_key_file'")
        if not self.list_models and not self.models:
            raise ValueError("with 'list_models' = false, 'models' must say what there is")
