"""Would the robot reach its goal by the plan? Found out by carrying it out in a world."""

from collections.abc import Sequence
from typing import Any, ClassVar

from attrs import field, frozen
from attrs.validators import ge

from .json_text import NotJson, read_loosely
from .outcome import Mark, Outcome
from .world import Goal, Illegal, State, World

MOST_STEPS = 200
"""A plan of more is not carried out."""

_RULES = """\
You plan for a robot on a grid of {width} x {height} cells [x, y]. x grows to the east, y to the \
north. [0, 0] is in the south-west.
Steps: "move north", "move south", "move east", "move west" (one cell; takes 1 of the battery), \
"pick NAME" (the object must be in the robot's cell, the gripper empty), "place" (puts down what \
is held), "charge" (in the cell of the charger; fills the battery to {capacity}).
Answer with the shortest plan, as a JSON list of steps and nothing else, such as \
["move north", "pick bolt"]."""


@frozen
class PlanCheck:
    """The answer is a JSON list of steps that reach a goal.

    A code block around the list is forgiven, as ``json_validity`` counts that already.

    Attributes:
        world: Where it starts from.
        goal: What has to be true at the end.
        steps: The least number of steps that does it.
    """

    parts: ClassVar[tuple[str, ...]] = ("plan_legal", "plan_goal", "plan_shortest")

    world: World
    goal: Goal
    steps: int = field(validator=ge(1))

    def __attrs_post_init__(self) -> None:
        if self.goal.reached(self.world.start):
            raise ValueError("the goal is reached before the plan; demand more")

    @property
    def briefing(self) -> str:
        """The world and the rules in it, in words."""
        rules = _RULES.format(
            width=self.world.width, height=self.world.height, capacity=self.world.capacity
        )
        return f"{rules}\n{_described(self.world)}"

    def outcome(self, text: str) -> Outcome:
        """Return how *text* does."""
        try:
            plan = _plan(text)
            end = self._end(plan)
        except (NotJson, Illegal) as error:
            return self._marked((False, False, False), str(error))
        reached = self.goal.reached(end)
        short = reached and len(plan) <= self.steps
        extra = f"{len(plan)} steps where {self.steps} do" if not short else None
        problem = extra if reached else "the plan does not reach the goal"
        return self._marked((True, reached, short), problem)

    def _end(self, plan: Sequence[Any]) -> State:
        state = self.world.start
        for number, step in enumerate(plan, 1):
            try:
                state = self.world.after(state, step)
            except Illegal as error:
                raise Illegal(f"step {number}: {error}") from error
        return state

    def _marked(self, hits: tuple[bool, bool, bool], problem: str | None) -> Outcome:
        marks = zip(self.parts, hits, strict=True)
        return Outcome(tuple(Mark(part, hit) for part, hit in marks), problem)


def _plan(text: str) -> list[Any]:
    plan = read_loosely(text)
    if not isinstance(plan, list) or not 0 < len(plan) <= MOST_STEPS:
        raise Illegal(f"a plan is a list of 1 to {MOST_STEPS} steps")
    return plan


def _described(world: World) -> str:
    lines = [f"The robot is at {list(world.robot)}. Its battery is at {world.battery}."]
    lines += [f"The {name} is at {list(place)}." for name, place in world.objects.items()]
    if world.walls:
        lines.append(f"Walls, which can not be entered: {', '.join(map(_shown, world.walls))}.")
    if world.charger:
        lines.append(f"The charger is at {list(world.charger)}.")
    return "\n".join(lines)


def _shown(cell: Sequence[int]) -> str:
    return str(list(cell))
