from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from orac_core import LoadedInfo, LoadRequest, ModelInfo, Shape
from orac_core.memory import (
    Capacity,
    Measured,
    Resident,
    Space,
    added,
    as_data,
    demand,
    explained,
    from_data,
    plan,
)
from orac_core.shape import Block

MIB = 1 << 20
BLOCK = Block(weights_bytes=50 * MIB, key_width=1024, value_width=1024)
SHAPE = Shape(blocks=(BLOCK,) * 16, embedding_bytes=100 * MIB, embedding_width=2048)
MODEL = ModelInfo(
    "m",
    size_bytes=900 * MIB,
    context_length=32_768,
    shape=SHAPE,
    would_use=LoadedInfo(4096, None, 1),
)
ASKED = LoadRequest("m")
PLENTY = Capacity(Space(64 << 30))

sizes = st.integers(0, 1 << 34)
residents = st.lists(
    st.builds(
        Resident,
        name=st.uuids().map(str),
        space=st.builds(Space, sizes),
        idle_s=st.floats(0, 1000),
        kept=st.sampled_from([None, "pinned"]),
        busy=st.booleans(),
    ),
    max_size=5,
)


def needed(info=MODEL, asked=ASKED, known=()):
    found = demand(info, asked, known)
    assert found is not None
    return found


def took(measured: int, *, context: int = 4096, estimated: int | None = None) -> Measured:
    setup = evolve(needed().setup, context_length=context)
    expected = needed().need.total_bytes if estimated is None else estimated
    return Measured.of(900 * MIB, setup, expected, measured)


@given(sizes, residents)
def test_what_is_said_to_fit_fits_once_those_named_are_gone(available, models):
    found = plan("l/m", needed(), Capacity(Space(available)), models)
    if found.fits:
        left = sum((each.space for each in found.evict), Space(available))
        assert left.holds(Space(needed().total_bytes))


@given(sizes, residents)
def test_models_in_use_are_named_only_where_the_idle_ones_would_not_do(available, models):
    found = plan("l/m", needed(), Capacity(Space(available)), models)
    idle = [each for each in models if not each.busy]
    assert bool(found.awaited) <= (not plan("l/m", needed(), found.capacity, idle).fits)


@given(sizes, residents)
def test_the_context_that_is_proposed_fits(available, models):
    there = Capacity(Space(available))
    found = plan("l/m", needed(), there, models)
    if found.context_length:
        smaller = needed(asked=LoadRequest("m", context_length=found.context_length))
        assert found.context_length < 4096
        assert plan("l/m", smaller, there, models).fits


@given(sizes)
def test_more_memory_never_makes_a_model_fit_less(available):
    if plan("l/m", needed(), Capacity(Space(available))).fits:
        assert plan("l/m", needed(), Capacity(Space(available + MIB))).fits


def test_a_longer_context_needs_more():
    longer = needed(asked=LoadRequest("m", context_length=32_768))
    assert longer.total_bytes - needed().total_bytes >= 16 * 2048 * 2 * (32_768 - 4096)


def test_no_more_context_is_planned_than_the_model_knows():
    asked = LoadRequest("m", context_length=1 << 20)
    assert needed(asked=asked).setup.context_length == 32_768


def test_of_a_model_in_another_machine_nothing_is_needed():
    assert needed(evolve(MODEL, remote=True)).total_bytes == 0


def test_a_model_of_which_nothing_is_known_is_loaded_without_a_plan():
    found = plan("l/m", demand(ModelInfo("m"), ASKED), PLENTY)
    assert (found.fits, found.certain) == (True, False)
    assert explained(found) == "nothing is known of what l/m needs; it is loaded without a plan"


def test_a_machine_that_says_nothing_stops_no_load():
    found = plan("l/m", needed(), None)
    assert (found.fits, found.certain) == (True, False)
    assert explained(found).endswith("the machine does not say what is available")


def test_what_a_load_took_beyond_the_estimate_is_reckoned_with():
    expected = needed().need.total_bytes
    found = needed(known=[took(expected + 70 * MIB)])
    assert (found.basis, found.total_bytes) == ("measured", expected + 70 * MIB)


def test_what_took_less_is_not_reckoned_lower_than_with_a_long_prompt():
    need = needed().need
    found = needed(known=[took(need.total_bytes - need.compute_bytes - 9)])
    assert found.total_bytes == need.total_bytes - 9


def test_another_context_is_corrected_by_what_the_last_load_took_beyond_its_estimate():
    found = needed(known=[took(5000 * MIB, context=512, estimated=4900 * MIB)])
    assert (found.basis, found.correction_bytes) == ("estimated", 100 * MIB)


def test_another_size_is_another_model():
    other = evolve(took(1), size_bytes=1)
    assert needed(known=[other]).correction_bytes == 0


def test_of_one_kind_of_load_the_most_is_remembered():
    known = added(added((), took(10)), took(5))
    assert [each.measured_bytes for each in known] == [10]


@given(st.lists(st.builds(took, sizes, context=st.integers(1, 20)), max_size=30))
def test_little_is_remembered_of_one_model_and_it_survives_being_written(loads):
    known: tuple[Measured, ...] = ()
    for each in loads:
        known = added(known, each)
    assert len(known) <= 8
    assert from_data(as_data(known)) == known


def test_what_is_no_record_is_left_out():
    rows = [{"size_bytes": 1}, 5, {**as_data([took(1)])[0], "measured_bytes": "many"}]
    assert from_data(rows) == from_data("x") == ()


def test_a_gpu_of_its_own_gets_the_layers_and_what_does_not_fit_lies_with_the_cpu():
    apart = Capacity(Space(8 << 30, 300 * MIB), unified=False)
    assert plan("l/m", needed(), apart).fits
    fixed = needed(asked=LoadRequest("m", gpu_layers=17))
    assert not plan("l/m", fixed, apart).fits


def test_an_idle_model_makes_room_on_the_gpu_before_layers_go_to_the_cpu():
    apart = Capacity(Space(8 << 30, 300 * MIB), unified=False)
    there = Resident("l/other", Space(0, 2 << 30))
    assert plan("l/m", needed(), apart, [there]).evict == (there,)


def test_a_refusal_names_what_is_kept_what_would_not_do_and_what_would():
    models = [
        Resident("l/a", Space(100 * MIB), idle_s=720),
        Resident("l/b", Space(200 * MIB), kept="pinned"),
    ]
    there = Capacity(Space(1000 * MIB), 400 * MIB)
    text = explained(plan("l/m", needed(), there, models))
    assert text.startswith("l/m needs 1.3 GiB, 1000 MiB available, 400 MiB of it page cache; it ")
    assert (
        "it does not fit even without l/a (100 MiB, idle 12 min); l/b (200 MiB) is pinned" in text
    )
    assert text.endswith("it would")
    assert "with a context_length of" in text


def test_a_model_that_can_not_fit_leads_to_a_smaller_one():
    text = explained(plan("l/m", needed(), Capacity(Space(MIB))))
    assert "choose a smaller model or quantization" in text
