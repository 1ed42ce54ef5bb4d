"""The limits of numbers and lengths in words (pure)."""


def between(least: float | None, most: float | None, *, above: bool = False) -> str:
    """Return in words what lies between two limits, of which either may be None.

    Args:
        least: The lower one.
        most: The upper one.
        above: Whether the lower one is not itself within them.
    """
    if least is not None and most is not None and not above:
        return f"{number(least)} to {number(most)}"
    told = []
    if least is not None:
        told.append(f"{'above' if above else 'at least'} {number(least)}")
    if most is not None:
        told.append(f"at most {number(most)}")
    return " and ".join(told)


def number(value: float) -> str:
    """Return a number as it is written."""
    return str(int(value)) if float(value).is_integer() else str(value)
