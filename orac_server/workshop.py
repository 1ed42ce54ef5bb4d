"""Where benchmarks are made: nothing that measures is imported before it is used.

That import takes a tenth of a second and some MiB, which a server that never measures need not pay.
"""

from typing import TYPE_CHECKING

from attrs import define, field

from orac_core import ModelManager

if TYPE_CHECKING:
    from orac_core.benchmark import Benchmarks


@define(eq=False)
class Workshop:
    """The benchmarks of a manager, made when they are first used.

    Attributes:
        manager: Has the models.
    """

    manager: ModelManager
    _made: "Benchmarks | None" = field(default=None, init=False)

    @property
    def benchmarks(self) -> "Benchmarks":
        """The benchmarks; the same each time."""
        from orac_core.benchmark import Benchmarks  # noqa: PLC0415 - see above

        if self._made is None:
            self._made = Benchmarks.of(self.manager)
        return self._made

    @property
    def problem(self) -> str | None:
        """Why benchmarks can not be kept, and what to do; None as far as is known."""
        return None if self._made is None else self._made.history.problem

    async def close(self) -> None:
        """Let go of the history; no error when it was not used."""
        if self._made is not None:
            await self._made.__aexit__(None, None, None)
