from itertools import chain, combinations

from hypothesis import given
from hypothesis import strategies as st

from orac_core.memory import Resident, Space, victims

amounts = st.integers(0, 50)
spaces = st.builds(Space, amounts, amounts)
residents = st.lists(
    st.builds(
        Resident,
        name=st.uuids().map(str),
        space=spaces,
        idle_s=st.floats(0, 1000),
        reload_s=st.floats(0, 100),
        kept=st.sampled_from([None, None, "pinned"]),
        busy=st.booleans(),
    ),
    max_size=6,
)


def frees(chosen, missing: Space) -> bool:
    return sum((each.space for each in chosen), Space()).holds(missing)


def may_go(models) -> list[Resident]:
    return [each for each in models if not each.kept and not each.busy]


def idle(name: str, size: int, idle_s: float = 0.0, reload_s: float = 0.0) -> Resident:
    return Resident(name, Space(size), idle_s, reload_s)


@given(residents, spaces)
def test_who_goes_is_enough_and_neither_kept_nor_busy(models, missing):
    chosen = victims(models, missing)
    if chosen is not None:
        assert frees(chosen, missing)
        assert not any(each.kept or each.busy for each in chosen)


@given(residents, spaces)
def test_none_is_said_only_where_even_all_would_not_do(models, missing):
    assert (victims(models, missing) is None) == (not frees(may_go(models), missing))


@given(residents, spaces)
def test_no_smaller_set_would_do(models, missing):
    chosen = victims(models, missing)
    if chosen:
        smaller = chain.from_iterable(
            combinations(may_go(models), size) for size in range(len(chosen))
        )
        assert not any(frees(each, missing) for each in smaller)


@given(residents, spaces)
def test_of_the_smallest_sets_the_least_worth_goes(models, missing):
    chosen = victims(models, missing)
    if chosen:
        same_size = combinations(may_go(models), len(chosen))
        worths = [sum(it.worth for it in each) for each in same_size if frees(each, missing)]
        assert sum(each.worth for each in chosen) <= min(worths) + 1e-9


@given(residents, spaces, st.randoms())
def test_the_order_of_the_models_changes_nothing(models, missing, random):
    shuffled = random.sample(models, len(models))
    assert victims(shuffled, missing) == victims(models, missing)


@given(spaces)
def test_nobody_goes_when_nothing_is_missing(space):
    assert victims([idle("a", 10)], Space() - space) == ()


@given(st.lists(st.integers(1, 50), min_size=13, max_size=40), st.integers(1, 2000))
def test_of_very_many_models_none_goes_in_vain(sizes, missing):
    models = [idle(f"{number:02}", size, number) for number, size in enumerate(sizes)]
    chosen = victims(models, Space(missing))
    assert (chosen is None) == (sum(sizes) < missing)
    for each in chosen or ():
        assert not frees([it for it in chosen if it is not each], Space(missing))


def test_the_least_recently_used_goes_first():
    assert [each.name for each in victims([idle("new", 5, 1), idle("old", 5, 99)], Space(5))] == [
        "old"
    ]


def test_a_model_that_takes_long_to_load_stays_longer():
    slow, quick = idle("slow", 5, idle_s=99, reload_s=60), idle("quick", 5, idle_s=60)
    assert victims([slow, quick], Space(5)) == (quick,)


def test_one_large_model_goes_rather_than_two_small_ones():
    small = [idle("a", 3, 500), idle("b", 3, 500)]
    assert [each.name for each in victims([*small, idle("large", 6, 1)], Space(6))] == ["large"]


def test_a_model_on_the_cpu_does_not_go_for_memory_of_the_gpu():
    host, gpu = Resident("host", Space(9, 0), 99), Resident("gpu", Space(1, 9), 1)
    assert victims([host, gpu], Space(0, 5)) == (gpu,)
