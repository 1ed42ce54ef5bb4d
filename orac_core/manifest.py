"""The manifest: one TOML or JSON file that says which backends and models ORAC serves."""

import json
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

from attrs import Attribute, field, fields, frozen, has
from attrs.validators import ge, le
from cattrs import Converter, transform_error
from cattrs.cols import (
    homogenous_tuple_structure_factory,
    is_mapping,
    mapping_structure_factory,
)
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError

from .durations import keep_alive, limit_s
from .errors import ConfigurationError

MAX_BYTES = 1024 * 1024
"""A manifest larger than this is a mistake."""

VARIABLE = "ORAC_MANIFEST"
DEFAULT_PLACES = (Path("orac.toml"), Path("configs/llm_models.json"))


def _a_span_of_time(_: object, __: "Attribute[Any]", value: str | float | None) -> None:
    if value is not None:
        keep_alive(value)


def _a_limit(_: object, __: "Attribute[Any]", value: str | float) -> None:
    limit_s(value)


def _above_zero(_: object, attribute: "Attribute[Any]", value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise ValueError(f"{attribute.name!r} must be above 0: {value}")


@frozen
class ServerSettings:
    """The table ``[server]``.

    Attributes:
        host: Address to listen on.
        port: Port to listen on.
        max_concurrency: Answers at once for each model.
        max_queue: Requests that may wait for a model beyond those.
        strict_start: Do not start when something that is required is not usable.
        auth: Whether a token is needed on any address but those of loopback.
        allowed_hosts: Names that clients may call this machine by, beside those of loopback and
            the address that is listened on.
        allowed_origins: Where the pages of browsers may come from that use ORAC, beside its own:
            ``https://robots.example``.
        max_body_bytes: Longest body of a request, once it is decompressed.
        max_prompt_chars: Characters that all messages of a request may have together.
        max_streams: Streams that one client may have open.
        deadline: Longest time for an answer that names no deadline of its own.
        drain: Time that running answers get to end when ORAC stops.
    """

    host: str = "127.0.0.1"
    port: int = field(default=8000, validator=[ge(0), le(65535)])
    max_concurrency: int = field(default=8, validator=[ge(1), le(1024)])
    max_queue: int = field(default=64, validator=[ge(0), le(100_000)])
    strict_start: bool = False
    auth: bool = True
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    max_body_bytes: int = field(default=1 << 20, validator=[ge(1024), le(1 << 30)])
    max_prompt_chars: int = field(default=1 << 20, validator=[ge(1), le(1 << 30)])
    max_streams: int = field(default=64, validator=[ge(1), le(100_000)])
    deadline: str | float = field(default="30m", validator=_a_limit)
    drain: str | float = field(default="30s", validator=_a_limit)


@frozen
class FileSettings:
    """A table ``[models.files."NAME"]``: what is known of one model, and wanted.

    NAME is any name of a model, also of one that is no file; of ``checksum`` that of a file.

    Attributes:
        checksum: ``sha256:…`` that the file must have.
        context_length: Context to load it with when the caller names none.
        required: Whether ORAC is unhealthy as long as the model is not usable.
        load_at_start: Whether to load it as soon as ORAC has started.
        keep_alive: How long it stays loaded without being used: seconds, or a text such as
            ``30m``; below 0 for ever. None for the one of ``[models]``.
        pinned: Whether it stays loaded for ever, also when others need the memory.
    """

    checksum: str | None = None
    context_length: int | None = None
    required: bool = False
    load_at_start: bool = False
    keep_alive: str | float | None = field(default=None, validator=_a_span_of_time)
    pinned: bool = False


@frozen
class ModelsSettings:
    """The table ``[models]``: folders to search, facts on models, and other names for them.

    Attributes:
        paths: Folders to search, before the usual ones.
        files: What is known of single models, and wanted.
        aliases: Other names for models.
        keep_alive: How long a model stays loaded without being used, unless its own table or a
            request says otherwise; below 0 until somebody needs the memory.
        max_workers: Models that are checked and handed over at once, before each is loaded.
        retries: How often a model that is to be loaded at the start is tried again.
        canaries: Whether to ask a model for a few short answers after a load, while nothing else
            goes on, to learn how fast it is when all is well.
        scrub: Read every file again once a day, when there is nothing else to do.
        scrub_mib_per_s: How fast, in MiB a second.
    """

    paths: tuple[Path, ...] = ()
    files: Mapping[str, FileSettings] = field(factory=dict)
    aliases: Mapping[str, str] = field(factory=dict)
    keep_alive: str | float = field(default=-1, validator=_a_span_of_time)
    max_workers: int = field(default=4, validator=[ge(1), le(64)])
    retries: int = field(default=3, validator=[ge(0), le(100)])
    canaries: bool = True
    scrub: bool = False
    scrub_mib_per_s: int = field(default=20, validator=[ge(1), le(10_000)])


@frozen
class BenchmarkSettings:
    """The table ``[benchmark]``: what a benchmark does that is not told otherwise.

    Attributes:
        rounds: How often each workload is measured.
        max_tokens: Longest answer to a prompt.
        missions: How often a soak asks everything.
        goal_ttft_s: Longest time to the first token of a good answer.
        goal_tpot_s: Longest time for each token after it.
        goal_latency_s: Longest time for a whole good answer.
        answer_over_s: A soak ends when an answer takes longer.
        memory_over_mib: A soak ends when a model takes more memory.
        rate_under_tokens_per_second: A soak ends when a model writes slower.
        tasks: Folder with tasks to ask for quality, instead of those that come with ORAC.
    """

    rounds: int = field(default=5, validator=[ge(1), le(1000)])
    max_tokens: int = field(default=128, validator=[ge(1), le(1 << 20)])
    missions: int = field(default=20, validator=[ge(1), le(100_000)])
    goal_ttft_s: float | None = field(default=None, validator=_above_zero)
    goal_tpot_s: float | None = field(default=None, validator=_above_zero)
    goal_latency_s: float | None = field(default=None, validator=_above_zero)
    answer_over_s: float | None = field(default=None, validator=_above_zero)
    memory_over_mib: float | None = field(default=None, validator=_above_zero)
    rate_under_tokens_per_second: float | None = field(default=None, validator=_above_zero)
    tasks: Path | None = None


@frozen
class BackendEntry:
    """A table ``[backends.NAME]``.

    Attributes:
        kind: Its kind.
        settings: What that kind understands.
        required: Whether ORAC is unhealthy as long as it is not usable.
    """

    kind: str
    settings: Mapping[str, Any]
    required: bool = False


@frozen
class _Common:
    """The keys that a backend has whatever its kind."""

    kind: str
    required: bool = False


@frozen
class RoleSettings:
    """What a role stands for: a model's name, and the instance that has to serve it, if any."""

    name: str
    provider: str | None = None

    @property
    def model(self) -> str:
        """The name to resolve instead of the role."""
        return f"{self.provider}/{self.name}" if self.provider else self.name


@frozen
class Profile:
    """A table ``[profiles.NAME]``: roles, each with its model."""

    models: Mapping[str, RoleSettings] = field(factory=dict)


@frozen
class Manifest:
    """Everything a manifest says; without one, the defaults here hold."""

    profile: str = "default"
    server: ServerSettings = ServerSettings()
    models: ModelsSettings = ModelsSettings()
    benchmark: BenchmarkSettings = BenchmarkSettings()
    backends: Mapping[str, BackendEntry] = field(factory=dict)
    profiles: Mapping[str, Profile] = field(factory=dict)

    @property
    def roles(self) -> Mapping[str, RoleSettings]:
        """The roles of the active profile."""
        return self.profiles.get(self.profile, Profile()).models


def find(named: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """Return the manifest to read: the one named, ``$ORAC_MANIFEST``, or one in a usual place."""
    if named or environ.get(VARIABLE):
        return named or Path(environ[VARIABLE])
    return next((path for place in DEFAULT_PLACES if (path := cwd / place).is_file()), None)


def read(path: Path) -> Manifest:
    """Read the manifest at *path*.

    Raises:
        ConfigurationError: naming every mistake with its place.
    """
    return parse(decoded(path), str(path))


def parse(data: object, source: str) -> Manifest:
    """Turn decoded TOML or JSON into a Manifest; *source* names it in errors.

    Raises:
        ConfigurationError: naming every mistake with its place.
    """
    manifest: Manifest = structure(data, Manifest, source)
    if manifest.profiles and manifest.profile not in manifest.profiles:
        known = ", ".join(sorted(manifest.profiles))
        raise ConfigurationError(f"{source}: no profile {manifest.profile!r}; there are: {known}")
    return manifest


def structure(data: object, cls: type[Any], source: str, at: str = "") -> Any:
    """Turn plain *data* into the attrs class *cls*, accepting no wrong type and no unknown key.

    Raises:
        ConfigurationError: naming every mistake with its place, which starts with *at*.
    """
    try:
        return _converter().structure(data, cls)
    except (BaseValidationError, ValueError, TypeError) as error:
        found = transform_error(error, path=at or "$", format_exception=_sentence)
        problems = tuple(_as_in_toml(problem) for problem in found)
        message = f"{source}: {len(problems)} mistake{'s' * (len(problems) > 1)}"
        raise ConfigurationError(message, problems) from error


def decoded(path: Path) -> object:
    """Return what the file at *path* says, as TOML or JSON, unchecked.

    Raises:
        ConfigurationError: when it can not be read.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigurationError(f"{path}: larger than {MAX_BYTES} bytes; is it a manifest?")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 text: {error.reason}") from error
    try:
        return json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


@cache
def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _exactly)
    for union in (str | float, str | float | None):
        converter.register_structure_hook(union, _text_or_number)
    converter.register_structure_hook(float, lambda value, _: float(_exactly(value, int | float)))
    converter.register_structure_hook(Path, lambda value, _: Path(_exactly(value, str)))
    _demand(converter, has, dict, converter.gen_structure_attrs_fromdict)
    _demand(converter, is_mapping, dict, lambda cls: mapping_structure_factory(cls, converter))
    _demand(
        converter, _is_tuple, list, lambda cls: homogenous_tuple_structure_factory(cls, converter)
    )
    converter.register_structure_hook(
        BackendEntry, lambda value, _: _backend_entry(value, converter)
    )
    by_keys = converter.get_structure_hook(RoleSettings)
    converter.register_structure_hook(
        RoleSettings,
        lambda value, cls: RoleSettings(value) if isinstance(value, str) else by_keys(value, cls),
    )
    return converter


def _demand(
    converter: Converter,
    belongs: Callable[[Any], bool],
    shape: type,
    structures: Callable[[Any], Callable[[Any, Any], Any]],
) -> None:
    """Make *converter* refuse data of another *shape* for the classes that belong here."""

    def factory(cls: Any) -> Callable[[Any, Any], Any]:
        structure_it = structures(cls)
        return lambda value, cls: structure_it(_exactly(value, shape), cls)

    converter.register_structure_hook_factory(belongs)(factory)


def _is_tuple(cls: Any) -> bool:
    return get_origin(cls) is tuple


def _exactly(value: Any, cls: Any) -> Any:
    if not isinstance(value, cls) or (isinstance(value, bool) and cls is not bool):
        raise TypeError(f"must be {_shown(cls)}, not {type(value).__name__}")
    return value


def _text_or_number(value: Any, cls: Any) -> Any:
    if value is None and type(None) in get_args(cls):
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"must be text or a number, not {type(value).__name__}")
    return value


def _backend_entry(value: Any, converter: Converter) -> BackendEntry:
    table = dict(_exactly(value, dict))
    if "kind" not in table:
        raise ValueError("lacks the key `kind`, such as kind = 'llamacpp'")
    names = [each.name for each in fields(_Common) if each.name in table]
    common = converter.structure({name: table.pop(name) for name in names}, _Common)
    return BackendEntry(common.kind, table, common.required)


def _shown(cls: Any) -> str:
    names = {
        str: "text",
        int: "a whole number",
        bool: "true or false",
        dict: "a table",
        list: "a list",
    }
    return names.get(cls, "a number")


def _as_in_toml(problem: str) -> str:
    """Return *problem* with its place written as the manifest would write it."""
    what, _, where = problem.rpartition(" @ ")
    where = re.sub(r"\['([A-Za-z0-9_-]+)'\]", r".\1", where)
    where = re.sub(r"\['([^']*)'\]", r'."\1"', where)
    return f"{what} @ {where.removeprefix('$').removeprefix('.') or 'top'}"


def _sentence(error: BaseException, _: type | None) -> str:
    match error:
        case ForbiddenExtraKeysError():
            fields = ", ".join(f'"{name}"' for name in sorted(error.extra_fields))
            return f"extra field {fields}"
        case KeyError():
            return f'lacks "{error.args[0]}"'
        case _:
            return str(error) or type(error).__name__
