"""How the check of a promise ends that was not kept, or that nothing could be asked of."""


class PromiseBroken(AssertionError):
    """A backend did not do what it promised; the text says what was seen.

    Attributes:
        steps: What was done before, where the order of it matters.
    """

    def __init__(self, seen: str, steps: tuple[str, ...] = ()) -> None:
        super().__init__(seen)
        self.steps = steps


class NotOffered(Exception):
    """A backend does not offer what the promise is about; the text says what."""


def expect(condition: object, seen: str) -> None:
    """Go on when *condition* holds.

    Raises:
        PromiseBroken: with what was *seen*, when it does not.
    """
    if not condition:
        raise PromiseBroken(seen)


def need(condition: object, lacking: str) -> None:
    """Go on when *condition* holds.

    Raises:
        NotOffered: with what is *lacking*, when it does not.
    """
    if not condition:
        raise NotOffered(lacking)
