"""Whether a plugin fits: the version of the hooks it was built for, against those there are."""

import re

from attrs import frozen

from .errors import PluginError


@frozen(order=True)
class HookVersion:
    """A version of the hooks, after semantic versioning (https://semver.org).

    Attributes:
        major: Grows when a plugin that fitted may no longer do so.
        minor: Grows when there is more that a plugin may use.
    """

    major: int
    minor: int = 0

    @classmethod
    def of(cls, text: object) -> "HookVersion":
        """Read a version such as ``"1.0"``; ``"1"`` is the same.

        Raises:
            PluginError: when it is none.
        """
        said = text if isinstance(text, str) else ""
        found = re.fullmatch(r"(\d{1,9})(?:\.(\d{1,9}))?", said, re.ASCII)
        if found is None:
            raise PluginError(f'orac_hooks is {text!r}, which is no version; write it as "1.0"')
        return cls(int(found[1]), int(found[2] or 0))

    def misfit(self, built_for: "HookVersion") -> str | None:
        """Say why a plugin *built_for* a version does not fit these hooks; None when it does."""
        if built_for.major == self.major and built_for.minor <= self.minor:
            return None
        newer = built_for > self
        remedy = "update ORAC" if newer else "update the plugin"
        other = "an older plugin" if newer else "an older ORAC"
        return f"it is built for hooks {built_for}, this ORAC has {self}; {remedy}, or take {other}"

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"
