"""How far a run of a benchmark is."""

from attrs import frozen


@frozen
class Progress:
    """How far a run is.

    Attributes:
        stage: ``hash``, ``load``, ``idle``, ``warm-up``, ``round``, ``quality``, ``canary`` …
        model: Which model it is about; empty for all.
        completed: Steps that are done.
        total: All steps; None while that is not known.
        message: In words.
    """

    stage: str
    model: str = ""
    completed: int = 0
    total: int | None = None
    message: str = ""
