"""Settings that the environment has: ``ORAC_SERVER_PORT`` for ``port`` of ``[server]`` (pure)."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import define, field, fields, frozen

from ..errors import ConfigurationError
from .settings import BenchmarkSettings, ModelsSettings, ServerSettings
from .structure import structure

SECTIONS: Mapping[str, type[Any]] = MappingProxyType(
    {"server": ServerSettings, "models": ModelsSettings, "benchmark": BenchmarkSettings}
)
"""The tables of the manifest whose plain values the environment may have too."""

PROFILES = ("ORAC_PROFILE", "LLM_MODELS_PROFILE")
"""The variables that name the profile, the first one first."""

OTHERS = frozenset({"ORAC_MODELS_DIR"})
"""Variables that begin like a setting and are none."""

_OF_A_SERVICE = re.compile(
    r"ORAC_(?:SERVER|MODELS|BENCHMARK)"
    r"_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)\w*)"
)
_ADDRESS = re.compile(r"(?:tcp|udp|sctp)://\S*")

_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


@frozen
class Variable:
    """A variable that has a setting.

    Attributes:
        section: The table of the setting.
        key: Its name there.
        plain: Makes of the text what a manifest would say.
    """

    section: str
    key: str
    plain: Callable[[str], Any]

    @property
    def setting(self) -> str:
        """What the manifest calls it: ``server.port``."""
        return f"{self.section}.{self.key}"


@define(eq=False)
class Heard:
    """What the environment says.

    Attributes:
        values: Values by the names of their settings: ``server.port``.
        names: The variable that has each of them.
        problems: Every mistake, each with the name of the variable.
    """

    values: dict[str, Any] = field(factory=dict)
    names: dict[str, str] = field(factory=dict)
    problems: list[str] = field(factory=list)

    def take(self, setting: str, name: str, value: Any) -> None:
        """Remember the value of a setting, and which variable has it."""
        self.values[setting], self.names[setting] = value, name


def heard(environ: Mapping[str, str]) -> Heard:
    """Return what *environ* says; variables that are set to nothing do not count."""
    found = Heard()
    for name in (it for it in sorted(environ) if environ[it].strip()):
        if variable := variables().get(name):
            if not _is_kubernetes(name, environ):
                _take(found, name, variable, environ[name].strip())
        elif _looks_like_ours(name) and not _is_kubernetes(name, environ):
            found.problems.append(f"environment {name}: {_unknown(name)}")
    for name in reversed(PROFILES):
        if chosen := environ.get(name, "").strip():
            found.take("profile", name, chosen)
    return found


@cache
def variables() -> Mapping[str, Variable]:
    """Return every variable that has a setting, by its name."""
    return MappingProxyType(dict(_variables()))


def _variables() -> Iterator[tuple[str, Variable]]:
    for section, cls in SECTIONS.items():
        for each in fields(cls):
            if plain := _READERS.get(each.type):
                yield f"ORAC_{section}_{each.name}".upper(), Variable(section, each.name, plain)


def _take(found: Heard, name: str, variable: Variable, text: str) -> None:
    """Remember what a variable says, once it is what the manifest would take."""
    cls = SECTIONS[variable.section]
    try:
        checked = structure({variable.key: variable.plain(text)}, cls, name)
    except ConfigurationError as error:
        told = (problem.rpartition(" @ ")[0] for problem in error.problems)
        found.problems.extend(f"environment {name}: {each}" for each in told)
    except ValueError as error:
        found.problems.append(f"environment {name}: {error}")
    else:
        found.take(variable.setting, name, getattr(checked, variable.key))


def _looks_like_ours(name: str) -> bool:
    begins = tuple(f"ORAC_{section}_".upper() for section in SECTIONS)
    return name.startswith(begins) and name not in OTHERS


def _is_kubernetes(name: str, environ: Mapping[str, str]) -> bool:
    """Whether Kubernetes set it, as it does for a service that is called ``orac-server``.

    See https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables.
    """
    if "KUBERNETES_SERVICE_HOST" not in environ:
        return False
    return bool(_OF_A_SERVICE.fullmatch(name) or _ADDRESS.fullmatch(environ[name]))


def _unknown(name: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only where something is wrong

    near = get_close_matches(name, [*variables(), *OTHERS], 1, 0.75)
    instead = f"did you mean {near[0]}?" if near else "`orac config` shows those there are"
    return f"there is no such setting; {instead}"


def _yes_or_no(text: str) -> bool:
    found = _WORDS.get(text.lower())
    if found is None:
        raise ValueError(f"must be true or false, not {text[:40]!r}")
    return found


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"must be a whole number, not {text[:40]!r}") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"must be a number, not {text[:40]!r}") from None


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


_READERS: Mapping[Any, Callable[[str], Any]] = MappingProxyType(
    {
        str: str,
        int: _whole,
        int | None: _whole,
        bool: _yes_or_no,
        str | float: str,
        float | None: _number,
        Path | None: str,
        tuple[str, ...]: _list,
        tuple[Path, ...]: _list,
    }
)
"""What makes a manifest's value of a text, by the type of the setting."""
