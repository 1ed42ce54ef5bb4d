"""A tiny world for robot plans: a grid, walls, objects, a gripper and a battery. Deterministic."""

from collections.abc import Mapping
from typing import Any

from attrs import Attribute, evolve, field, frozen
from attrs.validators import deep_iterable, deep_mapping, ge, instance_of, le, optional

DIRECTIONS = {"north": (0, 1), "south": (0, -1), "east": (1, 0), "west": (-1, 0)}
"""How x and y change."""

MOST_CELLS = 20
"""Width and height of a world."""

Cell = tuple[int, ...]
"""x and y, from 0."""


class Illegal(ValueError):
    """A step that can not be taken; the message says why."""


def a_cell(_: object, attribute: "Attribute[Any]", value: Cell) -> None:
    """Refuse, as a validator of attrs, what is no pair of coordinates."""
    if len(value) != 2:  # noqa: PLR2004 - a plane has two dimensions
        raise ValueError(f"{attribute.name}: must be [x, y]")


@frozen
class State:
    """How things stand.

    Attributes:
        robot: Where the robot is.
        objects: Where each object lies; one that is held is not among them.
        holding: What is in the gripper.
        battery: Moves that are left.
    """

    robot: Cell
    objects: Mapping[str, Cell]
    holding: str | None
    battery: int


@frozen(kw_only=True)
class World:
    """The world as it is before the plan.

    Attributes:
        width: Cells from west to east, which is where x grows.
        height: Cells from south to north, which is where y grows.
        robot: Where the robot starts.
        walls: Cells that can not be entered.
        objects: Where each object lies.
        battery: Moves that are left at the start.
        charger: Where the battery can be filled; None for nowhere.
        capacity: Moves that a full battery lasts.
    """

    width: int = field(validator=[ge(1), le(MOST_CELLS)])
    height: int = field(validator=[ge(1), le(MOST_CELLS)])
    robot: Cell = field(validator=a_cell)
    walls: tuple[Cell, ...] = field(default=(), validator=deep_iterable(a_cell))
    objects: Mapping[str, Cell] = field(
        factory=dict, validator=deep_mapping(instance_of(str), a_cell)
    )
    battery: int = field(default=50, validator=ge(0))
    charger: Cell | None = field(default=None, validator=optional(a_cell))
    capacity: int = field(default=50, validator=ge(1))

    def __attrs_post_init__(self) -> None:
        places = [self.robot, *self.objects.values(), *([self.charger] if self.charger else [])]
        for place in places:
            if not self.is_free(place):
                raise ValueError(f"{list(place)} is a wall or outside of the world")
        if any(len(name.split()) != 1 for name in self.objects):
            raise ValueError("the name of an object must be one word")

    @property
    def start(self) -> State:
        """How things stand before the plan."""
        return State(self.robot, dict(self.objects), None, self.battery)

    def is_free(self, cell: Cell) -> bool:
        """Whether the robot may be there."""
        x, y = cell
        inside = 0 <= x < self.width and 0 <= y < self.height
        return inside and cell not in self.walls

    def after(self, state: State, step: Any) -> State:
        """Return how things stand after a *step*.

        Steps are ``move east``, ``pick cup``, ``place`` and ``charge``.

        Raises:
            Illegal: It is no step, or can not be taken; then nothing has changed.
        """
        match step.split(" ") if isinstance(step, str) else None:
            case ["move", direction] if direction in DIRECTIONS:
                return self._moved(state, DIRECTIONS[direction])
            case ["pick", name]:
                return _picked(state, name)
            case ["place"]:
                return _placed(state)
            case ["charge"]:
                return self._charged(state)
        raise Illegal(f"{str(step)[:60]!r} is no step")

    def _moved(self, state: State, by: tuple[int, int]) -> State:
        place = (state.robot[0] + by[0], state.robot[1] + by[1])
        if not self.is_free(place):
            raise Illegal(f"{list(place)} is a wall or outside of the world")
        if state.battery < 1:
            raise Illegal("the battery is empty")
        return evolve(state, robot=place, battery=state.battery - 1)

    def _charged(self, state: State) -> State:
        if state.robot != self.charger:
            raise Illegal("the charger is somewhere else")
        return evolve(state, battery=max(self.capacity, state.battery))


def _picked(state: State, name: str) -> State:
    if state.holding is not None:
        raise Illegal(f"the gripper holds {state.holding} already")
    if state.objects.get(name) != state.robot:
        raise Illegal(f"{name[:60]} is not where the robot is")
    left = {other: place for other, place in state.objects.items() if other != name}
    return evolve(state, objects=left, holding=name)


def _placed(state: State) -> State:
    if state.holding is None:
        raise Illegal("the gripper is empty")
    if state.robot in state.objects.values():
        raise Illegal("another object lies there")
    return evolve(state, objects={**state.objects, state.holding: state.robot}, holding=None)


@frozen(kw_only=True)
class Goal:
    """What has to be true after the plan.

    Attributes:
        robot: Where the robot is; None for anywhere.
        objects: Where objects lie.
        holding: What the gripper holds; None for anything.
        battery: Moves that are left at least.
    """

    robot: Cell | None = field(default=None, validator=optional(a_cell))
    objects: Mapping[str, Cell] = field(
        factory=dict, validator=deep_mapping(instance_of(str), a_cell)
    )
    holding: str | None = None
    battery: int = field(default=0, validator=ge(0))

    def reached(self, state: State) -> bool:
        """Whether all of it is true."""
        return (
            (self.robot is None or self.robot == state.robot)
            and all(state.objects.get(name) == place for name, place in self.objects.items())
            and (self.holding is None or self.holding == state.holding)
            and state.battery >= self.battery
        )
