"""What ends a request otherwise than with an answer."""

from attrs import define


@define
class Refusal(Exception):
    """An answer with an error status and a sentence."""

    status: int
    text: str


@define
class Panicked(BaseException):
    """The whole server dies of this request, as a Go program does of a panic."""


@define
class EngineDied(Exception):
    """The engine's process ended while it answered; what came before has been sent."""

    text: str = "an error was encountered while running the model: unexpected EOF"
