"""What can go wrong, as one tree.

Every error says what is wrong and what to do about it, and keeps its cause::

    OracError
    ├── ConfigurationError      a manifest, a setting or an environment variable is wrong
    ├── PluginError             a plugin breaks the contract of a backend
    ├── InvalidRequest          what was asked makes no sense; asking again will not help
    │   └── PromptTooLong       prompt and answer do not fit into the model's context
    ├── ModelNotFound           no file and no engine has a model of that name
    ├── ModelFileInvalid        the model's file is there and cannot be used
    ├── RoleNotFound            the profile that holds has no role of that name
    ├── BenchmarkNotFound       no benchmark that is kept has that id
    ├── StateConflict           the model is in a state that does not allow this
    ├── QueueFull               too many are waiting for this model already
    │   └── TooManyStreams      this client has too many streams open
    ├── DeadlineExceeded        it took longer than was allowed
    ├── ShuttingDown            ORAC is stopping
    └── BackendError            the engine failed
        ├── BackendUnavailable  the engine cannot be reached, or has died
        └── InsufficientMemory  the model does not fit into the memory that is free
"""

from collections.abc import Mapping
from pathlib import Path


class OracError(Exception):
    """The root of every error that ORAC raises on purpose.

    Attributes:
        retry_after_s: Seconds after which asking again may help; None when waiting does not help.
    """

    retry_after_s: float | None = None


class ConfigurationError(OracError):
    """A manifest, a setting or an environment variable is wrong; nothing starts.

    Attributes:
        problems: One sentence for each mistake found, each with its place.
    """

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        self.problems = problems
        super().__init__("\n  ".join((message, *problems)))


class PluginError(OracError):
    """A plugin breaks the contract of a backend."""


class InvalidRequest(OracError):
    """What was asked makes no sense; asking the same again will not help.

    Over HTTP every fault is in ``details``.

    Attributes:
        details: Path of each field at fault and what is wrong with it; empty when the whole is.
    """

    def __init__(self, message: str, details: Mapping[str, str] | None = None) -> None:
        self.details = dict(details or {})
        super().__init__(message)


class PromptTooLong(InvalidRequest):
    """The prompt does not fit into the model's context; nothing of it is ever left out instead."""


class ModelNotFound(OracError):
    """No file and no engine has a model of that name."""

    def __init__(self, name: str, why: str = "`orac list` shows the models there are") -> None:
        self.name = name
        shown = name if len(name) <= 100 else f"{name[:100]}…"  # noqa: PLR2004 - one line of text
        super().__init__(f"model {shown!r} not found; {why}")


class BenchmarkNotFound(OracError):
    """No benchmark that is kept has that id, or more than one begins with it."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        shown = name if len(name) <= 100 else f"{name[:100]}…"  # noqa: PLR2004 - one line of text
        super().__init__(f"benchmark {shown!r} not found: {why}")


class RoleNotFound(OracError):
    """The profile that holds has no role of that name; the message names those there are.

    Attributes:
        name: The role.
    """

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        shown = name if len(name) <= 100 else f"{name[:100]}…"  # noqa: PLR2004 - one line of text
        super().__init__(f"role {shown!r} not found: {why}")


class ModelFileInvalid(OracError):
    """The model's file is there and cannot be used.

    Attributes:
        path: The file.
        problem: What is wrong with it, in one sentence that does not repeat the path.
    """

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path.name}: {problem}")


class StateConflict(OracError):
    """The model is in a state that does not allow this.

    It has ``Retry-After`` while the model is being examined.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class QueueFull(OracError):
    """Too many are waiting for this model already.

    ``Retry-After`` estimates when to ask again.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class TooManyStreams(QueueFull):
    """This client has so many streams open that it gets no further one.

    ``Retry-After`` estimates when one of them ends.
    """


class DeadlineExceeded(OracError):
    """It took longer than was allowed: the deadline passed before the first token.

    It has ``Retry-After`` where the model is still being fetched.
    """


class ShuttingDown(OracError):
    """ORAC is stopping and takes no new work.

    ``Retry-After`` says when the last answer has ended.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class BackendError(OracError):
    """The engine failed.

    Attributes:
        instance: Name of the instance that failed.
        operation: The hook that failed: ``load``, ``generate`` …
    """

    def __init__(self, message: str, *, instance: str = "", operation: str = "") -> None:
        self.instance = instance
        self.operation = operation
        super().__init__(message)


class BackendUnavailable(BackendError):
    """The engine cannot be reached, or has died.

    Also raised while a model is still being fetched and no fallback could answer. It has
    ``Retry-After`` where it is known for how long.
    """


class InsufficientMemory(BackendError):
    """The model does not fit into the memory that is free, whatever goes.

    The message has the numbers.

    Attributes:
        needed_bytes: Memory that it would take, as far as that is known.
        available_bytes: Memory that was there for it, as far as that is known.
    """

    def __init__(
        self,
        message: str,
        *,
        needed_bytes: int | None = None,
        available_bytes: int | None = None,
        instance: str = "",
        operation: str = "",
    ) -> None:
        self.needed_bytes = needed_bytes
        self.available_bytes = available_bytes
        super().__init__(message, instance=instance, operation=operation)
