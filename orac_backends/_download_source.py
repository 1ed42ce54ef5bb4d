"""What a ``source`` of the manifest means, and what its file is called here. Pure."""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from attrs import field, frozen

from orac_core import InvalidRequest

HUB = "https://huggingface.co"
"""Where ``hf://`` leads: https://huggingface.co/docs/hub/models-downloading."""

TOKEN = "HF_TOKEN"  # noqa: S105 - the name of a variable
ENDING = ".gguf"

_HF = re.compile(r"hf://([^/@?#]+)/([^/@?#]+)(?:@([^?#]+?))?/([^?#]+)")
_PART = re.compile(r".*-[0-9]{5}-of-[0-9]{5}\.gguf", re.IGNORECASE | re.DOTALL)
_LONGEST_NAME = 200
_FORMS = "give https://…, hf://owner/repo/file or the path of a file"


@frozen
class Web:
    """A file on another machine.

    Attributes:
        url: Its address; what stands in its query may be secret.
        secret: What is presented to the first server and to no other.
    """

    url: str = field(repr=lambda url: repr(shown(url)))
    secret: str | None = field(default=None, repr=False)


@frozen
class Local:
    """A file of this machine."""

    path: Path


Source = Web | Local


def understood(text: str, environ: Mapping[str, str]) -> Source:
    """Return what the ``source`` of the manifest means.

    Raises:
        InvalidRequest: It is no source.
    """
    if text.startswith("hf://"):
        return Web(_on_the_hub(text), environ.get(TOKEN))
    if "://" not in text:
        return Local(Path(text).expanduser().absolute())
    return Web(text, environ.get(TOKEN) if _leads_to_the_hub(text) else None)


def shown(url: str) -> str:
    """Return an address without what may be secret in it."""
    scheme, separator, rest = url.partition("://")
    place = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = place.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def file_name(model: str, source: Source) -> str:
    """Return what the file is to be called: as the model is, never as a server says.

    Raises:
        InvalidRequest: The model has a name that no file should have, or is one part of several.
    """
    name = model if model.lower().endswith(ENDING) else model + ENDING
    there = source.path.name if isinstance(source, Local) else urlsplit(source.url).path
    plain = name.isprintable() and not name.startswith(".") and not set(name) & set("/\\")
    if not plain or len(name.encode()) > _LONGEST_NAME:
        raise InvalidRequest(
            f"{model!r} is no name for a file; take one without slashes and a dot in front"
        )
    if _PART.fullmatch(name) or _PART.fullmatch(there):
        raise InvalidRequest(
            f"the source of {model} is one part of a split model, which ORAC does not fetch; put "
            "all its parts into a folder that is searched"
        )
    return name


def _on_the_hub(text: str) -> str:
    match = _HF.fullmatch(text)
    if match is None or ".." in text.split("/"):
        raise InvalidRequest(
            f"{text!r} is no file of Hugging Face; write hf://owner/repo/file or "
            "hf://owner/repo@revision/file"
        )
    owner, repository, revision, file = match.groups()
    at = quote(revision or "main", safe="")
    return f"{HUB}/{quote(owner)}/{quote(repository)}/resolve/{at}/{quote(file)}"


def _leads_to_the_hub(text: str) -> bool:
    """Check an address and return whether it is one of Hugging Face's."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("https", "http") or not host:
        raise InvalidRequest(f"{shown(text)!r} is no source of a model; {_FORMS}")
    if parts.username is not None or parts.password is not None:
        raise InvalidRequest(
            f"{shown(text)}: a source may hold no name and password; download the file by hand"
        )
    return parts.scheme == "https" and parts.netloc.lower() == urlsplit(HUB).netloc
