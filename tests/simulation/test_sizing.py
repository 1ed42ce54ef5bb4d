"""The simulation of boards behind one ORAC keeps to what queues can not do."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

PROGRAM = Path(__file__).parents[2] / "benchmarks/sizing.py"


def program():
    """Return the program as a module: benchmarks are in no wheel."""
    spec = spec_from_file_location("sizing", PROGRAM)
    module = module_from_spec(spec)
    sys.modules["sizing"] = module  # attrs looks for it there
    spec.loader.exec_module(module)
    return module


sizing = program()
MEASURED, Part, Site = sizing.MEASURED, sizing.Part, sizing.Site
simulated, sizes, ways = sizing.simulated, sizing.sizes, sizing.ways

COSTS = st.floats(1e-6, 5e-3)
PARTS = st.lists(st.builds(Part, st.sampled_from("abc"), COSTS, COSTS), min_size=1, max_size=3)
SITES = st.builds(
    Site,
    PARTS.map(tuple),
    streams=st.integers(1, 3),
    rate=st.floats(5, 200),
    tokens=st.integers(5, 40),
)
BOARDS = st.integers(1, 12)
EDGES = 0.25
"""What the beginning and the end of a short run may take of its figures."""


@settings(max_examples=60, deadline=None)
@given(SITES, BOARDS)
def test_nothing_is_faster_than_what_is_full_first(site, boards):
    assert simulated(site, boards).tokens_per_s <= site.bound(boards) * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(SITES, BOARDS)
def test_nobody_works_more_than_all_the_time_and_no_token_comes_before_it_was_served(site, boards):
    told = simulated(site, boards)
    assert all(0 <= share <= 1 + 1e-9 for share in told.busy.values())
    middle, late = told.delay_s
    assert middle == late == 0 or sum(part.token_s for part in site.parts) <= middle + 1e-9
    assert middle <= late


@settings(max_examples=40, deadline=None)
@given(SITES, BOARDS, st.integers(1, 8))
def test_more_boards_are_not_slower(site, boards, more):
    fewer, found = simulated(site, boards), simulated(site, boards + more)
    assert found.tokens_per_s >= fewer.tokens_per_s * (1 - EDGES)


@settings(max_examples=40, deadline=None)
@given(SITES, BOARDS, st.floats(1.5, 4))
def test_parts_that_take_longer_are_full_with_fewer_boards(site, boards, slower):
    parts = tuple(Part(it.name, slower * it.request_s, slower * it.token_s) for it in site.parts)
    there = evolve(site, parts=parts)
    assert there.full_at == pytest.approx(site.full_at / slower)
    assert there.bound(boards) <= site.bound(boards)


@settings(max_examples=20, deadline=None)
@given(SITES, BOARDS, st.integers(0, 9))
def test_the_same_seed_is_the_same_run(site, boards, seed):
    assert simulated(site, boards, seed) == simulated(site, boards, seed)


def test_boards_that_fill_nothing_are_as_fast_as_they_are():
    site = Site((Part("fast", 1e-6, 1e-6),))
    told = simulated(site, 10)
    assert told.tokens_per_s == pytest.approx(10 * 2 * 20.0, rel=0.05)


@pytest.mark.parametrize("way", ["ray", "fleet"])
@pytest.mark.parametrize("rate", [20.0, 100.0])
def test_what_was_measured_is_full_where_the_sum_says(way, rate):
    parts = ways(MEASURED)[way]
    site = Site(parts, rate=rate)
    told = simulated(site, round(1.25 * site.full_at))
    assert told.tokens_per_s == pytest.approx(site.most, rel=0.05)
    assert told.busy[site.narrowest.name] > 0.95
    assert max(sizes(site)) > site.full_at
