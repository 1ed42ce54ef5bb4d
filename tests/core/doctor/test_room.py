"""How risky it is to go on with so much memory."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orac_core.doctor import CARD, MACHINE, Room, Wanted, risk

MIB, GIB = 1 << 20, 1 << 30
ORDER = {"ok": 0, "tight": 1, "critical": 2}
BOARD = Room(8 * GIB, 4 * GIB, swap_total_bytes=0, swap_free_bytes=0)

amounts = st.integers(0, 64 * GIB)
ratios = st.none() | st.floats(0, 1)
rooms = st.builds(
    Room,
    total_bytes=st.integers(1, 64 * GIB),
    free_bytes=amounts,
    owed_bytes=amounts,
    waiting_ratio=ratios,
    stalled_ratio=ratios,
    swap_total_bytes=st.just(8 * GIB),
    swap_free_bytes=st.integers(0, 8 * GIB),
    limits=st.sampled_from([MACHINE, CARD]),
)
wishes = st.builds(Wanted, st.none() | amounts, ratios)


def level(**how):
    return risk(evolve(BOARD, **how)).level


def graver(room, wanted):
    found = risk(room, wanted)
    assert found.level is not None
    return ORDER[found.level], found.short


@given(rooms, wishes, amounts)
def test_less_free_is_never_less_risky(room, wanted, less):
    fewer = evolve(room, free_bytes=max(0, (room.free_bytes or 0) - less))
    assert graver(fewer, wanted) >= graver(room, wanted)


@given(rooms, wishes, amounts)
def test_more_to_come_less_swap_and_more_wanted_are_never_less_risky(room, wanted, more):
    owing = evolve(room, owed_bytes=room.owed_bytes + more)
    swapped = evolve(room, swap_free_bytes=max(0, (room.swap_free_bytes or 0) - more))
    wish = evolve(wanted, free_bytes=(wanted.free_bytes or 0) + more)
    for graver_room, graver_wish in ((owing, wanted), (swapped, wanted), (room, wish)):
        assert graver(graver_room, graver_wish) >= graver(room, wanted)


@given(rooms, wishes, st.floats(0, 1))
def test_more_waiting_is_never_less_risky(room, wanted, more):
    def worse(ratio):
        return min(1.0, (ratio or 0.0) + more)

    waiting = evolve(room, waiting_ratio=worse(room.waiting_ratio))
    stalled = evolve(room, stalled_ratio=worse(room.stalled_ratio))
    assert graver(waiting, wanted) >= graver(room, wanted)
    assert graver(stalled, wanted) >= graver(room, wanted)


@given(rooms, wishes)
def test_a_level_above_ok_has_a_reason_and_ok_has_none(room, wanted):
    found = risk(room, wanted)
    assert (found.level == "ok") == (not found.reasons)


@pytest.mark.parametrize(
    ("free", "expected"),
    [(4 * GIB, "ok"), (900 * MIB, "ok"), (800 * MIB, "tight"), (400 * MIB, "critical")],
)
def test_memory_that_programs_share_is_tight_below_a_tenth_and_critical_below_a_twentieth(
    free, expected
):
    assert level(free_bytes=free) == expected


@pytest.mark.parametrize(
    ("free", "expected"),
    [(2 * GIB, "ok"), (GIB, "tight"), (600 * MIB, "tight"), (400 * MIB, "critical")],
)
def test_a_card_may_be_fuller(free, expected):
    assert level(total_bytes=24 * GIB, free_bytes=free, limits=CARD) == expected


def test_a_small_machine_needs_an_amount_and_not_only_a_share():
    assert level(total_bytes=2 * GIB, free_bytes=500 * MIB) == "tight"
    assert level(total_bytes=2 * GIB, free_bytes=200 * MIB) == "critical"


def test_what_loaded_models_may_still_take_is_not_free():
    found = risk(evolve(BOARD, free_bytes=GIB, owed_bytes=700 * MIB))
    assert found.level == "critical"
    (reason,) = found.reasons
    assert reason.startswith("324 MiB is left once the loaded models have taken all they may (4.0%")


@pytest.mark.parametrize(
    ("how", "expected", "reason"),
    [
        ({"waiting_ratio": 0.12}, "tight", "programs waited for memory 12% of the last 10 s"),
        ({"stalled_ratio": 0.2}, "critical", "all programs waited for memory 20% of the last"),
        (
            {"swap_total_bytes": 4 * GIB, "swap_free_bytes": GIB},
            "tight",
            "75% of the swap is in use (3.0 GiB)",
        ),
    ],
)
def test_waiting_and_swap_raise_the_risk_with_their_numbers(how, expected, reason):
    found = risk(evolve(BOARD, **how))
    assert found.level == expected
    assert found.reasons[0].startswith(reason)


def test_full_swap_and_little_memory_together_are_critical():
    swap = {"swap_total_bytes": 4 * GIB, "swap_free_bytes": 100 * MIB}
    assert level(**swap) == "tight"
    assert level(free_bytes=700 * MIB, **swap) == "critical"


def test_what_is_wanted_and_not_there_is_critical_and_said_first():
    found = risk(evolve(BOARD, free_bytes=700 * MIB), Wanted(GIB, 0.5))
    assert (found.level, found.short) == ("critical", True)
    assert found.reasons[:2] == (
        "700 MiB is free, less than the 1.0 GiB that is wanted",
        "8.5% is free, less than the 50.0% that is wanted",
    )


def test_what_is_wanted_and_there_is_well():
    assert risk(BOARD, Wanted(4 * GIB, 0.5)) == risk(BOARD)


def test_where_nothing_is_known_there_is_no_level_unless_something_is_wanted():
    assert risk(Room()).level is None
    found = risk(Room(), Wanted(1))
    assert (found.level, found.short) == ("critical", True)
    assert "not known" in found.reasons[0]
