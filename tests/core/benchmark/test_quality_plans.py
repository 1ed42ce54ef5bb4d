"""Plans of robots, carried out in a world."""

import json
from collections import deque

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orac_core.benchmark.quality import built_in
from orac_core.benchmark.quality.plans import MOST_STEPS, PlanCheck
from orac_core.benchmark.quality.world import DIRECTIONS, Goal, Illegal, World

WORLD = World(
    width=3,
    height=2,
    robot=(0, 0),
    walls=((1, 0),),
    objects={"cup": (0, 1), "key": (0, 1)},
    battery=4,
    charger=(1, 1),
    capacity=9,
)
STEPS = [*(f"move {way}" for way in DIRECTIONS), "pick cup", "pick key", "place", "charge"]


def after(*steps, world=WORLD):
    state = world.start
    for step in steps:
        state = world.after(state, step)
    return state


def hits(check, plan):
    text = plan if isinstance(plan, str) else json.dumps(plan)
    return [mark.hits for mark in check.outcome(text).marks]


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (["move east"], r"\[1, 0\] is a wall"),
        (["move south"], "outside of the world"),
        (["move up"], "'move up' is no step"),
        (["fly"], "is no step"),
        ([{"do": "move"}], "is no step"),
        ([None], "is no step"),
        (["move  north"], "is no step"),
        (["pick cup"], "cup is not where the robot is"),
        (["move north", "pick ball"], "ball is not where"),
        (["move north", "pick cup", "pick key"], "holds cup already"),
        (["move north", "pick cup", "place"], "another object lies there"),
        (["place"], "the gripper is empty"),
        (["charge"], "the charger is somewhere else"),
        (["move north", "move south"] * 3, "the battery is empty"),
    ],
)
def test_a_step_that_can_not_be_taken_is_refused_with_the_reason(steps, reason):
    with pytest.raises(Illegal, match=reason):
        after(*steps)


def test_things_are_carried_and_the_battery_is_used_and_filled():
    state = after("move north", "pick cup", "move east", "charge", "place")
    assert state.robot == state.objects["cup"] == (1, 1)
    assert state.holding is None
    assert state.battery == 9


@given(st.lists(st.sampled_from(STEPS), max_size=40))
def test_whatever_is_done_the_world_stays_whole(steps):
    state = WORLD.start
    for step in steps:
        try:
            following = WORLD.after(state, step)
        except Illegal:
            continue
        assert WORLD.is_free(following.robot)
        assert {*following.objects, following.holding} - {None} == {"cup", "key"}
        assert 0 <= following.battery <= 9
        assert following.battery - state.battery == -step.startswith("move") or step == "charge"
        state = following


CARRY = PlanCheck(
    World(width=3, height=1, robot=(0, 0), objects={"cup": (0, 0)}),
    Goal(objects={"cup": (1, 0)}),
    steps=3,
)


@pytest.mark.parametrize(
    ("plan", "legal_goal_shortest"),
    [
        (["pick cup", "move east", "place"], [1, 1, 1]),
        ('```\n["pick cup", "move east", "place"]\n```', [1, 1, 1]),
        (["pick cup", "move east", "place", "move west"], [1, 1, 0]),
        (["pick cup", "move east"], [1, 0, 0]),
        (["move west", "pick cup", "move east", "place"], [0, 0, 0]),
        ([], [0, 0, 0]),
        ({"steps": ["pick cup"]}, [0, 0, 0]),
        (["move east", "move west"] * MOST_STEPS, [0, 0, 0]),
        ("pick cup, move east, place", [0, 0, 0]),
    ],
)
def test_legal_goal_and_shortest_are_three_rates(plan, legal_goal_shortest):
    assert hits(CARRY, plan) == legal_goal_shortest
    assert CARRY.outcome(plan if isinstance(plan, str) else json.dumps(plan)).passed == (
        legal_goal_shortest == [1, 1, 1]
    )


def test_the_step_that_went_wrong_is_named():
    problem = CARRY.outcome('["move east", "pick cup"]').problem
    assert problem == "step 2: cup is not where the robot is"


def test_the_model_is_told_of_the_world():
    told = evolve(CARRY, world=WORLD).briefing
    assert "3 x 2 cells" in told
    assert "The cup is at [0, 1]." in told
    assert "Walls, which can not be entered: [1, 0]." in told
    assert "The charger is at [1, 1]." in told
    assert "fills the battery to 9" in told


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"robot": (1, 0)}, "is a wall"),
        ({"charger": (5, 5)}, "outside"),
        ({"objects": {"big box": (0, 0)}}, "one word"),
        ({"robot": (0,)}, r"must be \[x, y\]"),
        ({"width": 99}, "must be <= 20"),
    ],
)
def test_a_world_that_can_not_be_is_refused(change, fault):
    with pytest.raises(ValueError, match=fault):
        evolve(WORLD, **change)


def test_a_goal_that_is_reached_already_is_refused():
    with pytest.raises(ValueError, match="reached before the plan"):
        PlanCheck(WORLD, Goal(robot=(0, 0)), 1)


PLANS = [
    check for task in built_in().tasks for check in task.checks if isinstance(check, PlanCheck)
]


@pytest.mark.parametrize("check", PLANS, ids=lambda check: str(check.goal))
def test_no_plan_is_shorter_than_the_task_says(check):
    assert shortest(check) == check.steps


def shortest(check):
    """Return the length of the shortest plan, by trying all of them, the short ones first."""
    names = [f"pick {name}" for name in check.world.objects]
    steps = [*(f"move {way}" for way in DIRECTIONS), *names, "place", "charge"]
    states, seen = deque([(check.world.start, 0)]), set()
    while states:
        state, length = states.popleft()
        if check.goal.reached(state):
            return length
        for step in steps:
            try:
                following = check.world.after(state, step)
            except Illegal:
                continue
            if repr(following) not in seen:
                seen.add(repr(following))
                states.append((following, length + 1))
    return None
