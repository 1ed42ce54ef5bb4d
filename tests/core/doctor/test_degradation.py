"""Each cause has its sign, and a sign that did not change explains nothing."""

import re
from functools import partial

import pytest
from attrs import evolve, fields
from hypothesis import given
from hypothesis import strategies as st

from orac_core.devices import Device, Gpu, Memory
from orac_core.doctor.causes import REMEDIES, Cause
from orac_core.doctor.degradation import Diagnosis, diagnose
from orac_core.doctor.evidence import Evidence, Moment, Process, Snapshot

GIB, MIB = 1 << 30, 1 << 20
FAST = (37.0, 38.0, 36.5, 37.2, 36.9)
SLOW = (5.1, 5.0, 4.9, 5.2)
THEN = Snapshot(
    on_gpu_ratio=1.0,
    size_bytes=3 * GIB,
    engine_sees_gpu=True,
    engine_version="0.12.3",
    context_length=4096,
    context_tokens=300,
    concurrency=1,
    memory_before=Memory(
        total_bytes=8 * GIB, available_bytes=6 * GIB, free_bytes=5 * GIB, unified=True
    ),
    unload_to_load_s=900.0,
    unreturned_bytes=0,
    memory=Memory(swap_total_bytes=4 * GIB, swap_free_bytes=4 * GIB),
    gpu=Gpu(load_ratio=0.95, frequency_hz=1_020_000_000),
    device=Device(power_mode="25W", temperatures={"tj": 60.0}, throttling=False),
    cpu_load_ratio=0.1,
    swapped_in_bytes_per_second=0.0,
    cpu_frequency_hz=1_700_000_000,
    over_current_events=2,
    limit_c=87.0,
    leftovers=(),
    gpu_users=(Process("Xorg", 1, 40 * MIB),),
)
FEW_FREE = evolve(THEN.memory_before, free_bytes=GIB)
AWAY = {"on_gpu_ratio": 0.25}
SIGNS: dict[Cause, dict] = {
    Cause.PAGE_CACHE: {**AWAY, "memory_before": FEW_FREE},
    Cause.MEMORY_LATE: {**AWAY, "unreturned_bytes": 2 * GIB, "unload_to_load_s": 0.4},
    Cause.GPU_LOST: {"on_gpu_ratio": 0.0, "engine_sees_gpu": False},
    Cause.LEFTOVER: {"leftovers": (Process("llama-server", 4711, 2 * GIB),)},
    Cause.CONTEXT: {"context_tokens": 20_000},
    Cause.POWER_MODE: {
        "device": evolve(THEN.device, power_mode="7W"),
        "gpu": evolve(THEN.gpu, frequency_hz=408_000_000),
    },
    Cause.OVER_CURRENT: {"over_current_events": 90, "cpu_frequency_hz": 242_000_000},
    Cause.HEAT: {"device": evolve(THEN.device, temperatures={"tj": 88.0}, throttling=True)},
    Cause.CLOCKS: {"gpu": evolve(THEN.gpu, frequency_hz=306_000_000)},
    Cause.SWAP: {"swapped_in_bytes_per_second": 90.0 * MIB},
    Cause.GPU_SHARED: {"gpu_users": (Process("Xorg", 9, 40 * MIB), Process("python3", 7, GIB))},
    Cause.COMPANY: {"concurrency": 4},
    Cause.ENGINE_CHANGED: {"engine_version": "0.17.0"},
    Cause.UNKNOWN: {},
}


def diagnosed(now: Snapshot, then: Snapshot | None = THEN, **others) -> Diagnosis:
    return diagnose(Evidence(FAST, SLOW, now, then, **others))


def named(diagnosis: Diagnosis) -> list[Cause]:
    return [each.cause for each in diagnosis.findings]


def sick_with(cause: Cause) -> Diagnosis:
    shallow = FAST if cause is Cause.CONTEXT else ()
    return diagnosed(evolve(THEN, **SIGNS[cause]), shallow=shallow)


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_is_found_by_its_sign_alone(cause):
    assert named(sick_with(cause)) == [cause]


@pytest.mark.parametrize("cause", Cause)
def test_a_sign_without_slowness_is_no_finding(cause):
    now = evolve(THEN, **SIGNS[cause])
    diagnosis = diagnose(Evidence(FAST, FAST[:3], now, THEN))
    assert diagnosis.healthy
    assert diagnosis.findings == ()
    assert "as fast as it was" in diagnosis.summary


@pytest.mark.parametrize("cause", sorted(set(Cause) - {Cause.UNKNOWN}))
def test_a_sign_that_was_there_at_the_baseline_explains_nothing(cause):
    same = evolve(THEN, **SIGNS[cause])
    assert named(diagnosed(same, same)) == [Cause.UNKNOWN]


@pytest.mark.parametrize("cause", Cause)
def test_every_sentence_has_a_number_and_every_finding_a_remedy(cause):
    for found in sick_with(cause).findings:
        assert found.evidence
        assert all(re.search(r"\d", sentence) for sentence in found.evidence), found.evidence
        assert found.remedy == REMEDIES[cause].text
        assert 0 < found.likelihood <= 1


def test_the_summary_tells_rates_ratio_and_the_likely_cause():
    assert sick_with(Cause.PAGE_CACHE).summary == (
        "degraded: 5.1 tokens/s where it had 37.0, 14% (13% to 14%); likely page cache (78%)"
    )


def test_the_page_cache_is_innocent_where_the_engine_counts_it_as_available():
    late = evolve(THEN, **SIGNS[Cause.MEMORY_LATE])
    before = evolve(FEW_FREE, available_bytes=int(1.2 * GIB), free_bytes=GIB // 10)
    assert named(diagnosed(evolve(late, memory_before=before))) == [Cause.MEMORY_LATE]


def test_the_page_cache_is_innocent_where_the_gpu_has_memory_of_its_own():
    now = evolve(THEN, **AWAY, memory_before=evolve(FEW_FREE, unified=False))
    assert Cause.PAGE_CACHE not in named(diagnosed(now))


def test_an_idle_gpu_lowers_its_clock_and_that_is_no_cause():
    idle = Gpu(load_ratio=0.1, frequency_hz=306_000_000)
    now = evolve(THEN, **SIGNS[Cause.PAGE_CACHE] | {"gpu": idle})
    assert named(diagnosed(now)) == [Cause.PAGE_CACHE]


def test_another_power_mode_with_the_same_clocks_explains_nothing():
    now = evolve(THEN, device=evolve(THEN.device, power_mode="MAXN"))
    assert named(diagnosed(now)) == [Cause.UNKNOWN]


def test_clocks_that_linux_says_are_high_do_not_clear_the_over_current():
    now = evolve(THEN, over_current_events=3)
    assert named(diagnosed(now)) == [Cause.OVER_CURRENT]


def test_a_hot_chip_with_all_its_clocks_explains_nothing():
    now = evolve(THEN, device=evolve(THEN.device, temperatures={"tj": 88.0}))
    assert named(diagnosed(now)) == [Cause.UNKNOWN]


def test_a_deep_context_that_is_slow_at_little_depth_too_explains_nothing():
    now = evolve(THEN, context_tokens=20_000)
    assert named(diagnosed(now, shallow=SLOW)) == [Cause.UNKNOWN]


def test_a_larger_context_length_that_drove_layers_off_the_gpu_is_found():
    now = evolve(THEN, on_gpu_ratio=0.5, context_length=32_768, size_bytes=6 * GIB)
    now = evolve(now, memory_before=evolve(THEN.memory_before, free_bytes=5 * GIB))
    assert named(diagnosed(now)) == [Cause.CONTEXT]


def test_a_context_that_was_long_since_the_load_is_named_when_nothing_else_is():
    now = evolve(THEN, deepest_tokens=20_000)
    diagnosis = diagnosed(now)
    assert named(diagnosis) == [Cause.CONTEXT]
    assert diagnosis.likeliest.likelihood < 0.5


def test_swap_that_only_grew_is_named_when_nobody_says_whether_it_is_read():
    swapped = evolve(THEN.memory, swap_free_bytes=2 * GIB)
    now = evolve(THEN, memory=swapped)
    assert named(diagnosed(now)) == [Cause.UNKNOWN]
    blind = partial(evolve, swapped_in_bytes_per_second=None)
    assert named(diagnosed(blind(now), blind(THEN))) == [Cause.SWAP]


def test_a_split_that_no_sign_explains_right_after_a_swap_is_late_memory():
    now = evolve(THEN, **AWAY, unreturned_bytes=None, unload_to_load_s=1.0)
    assert named(diagnosed(now)) == [Cause.MEMORY_LATE]


def test_a_model_off_the_gpu_is_a_lost_gpu_where_the_engine_does_not_say():
    now = evolve(THEN, on_gpu_ratio=0.0, engine_sees_gpu=None)
    assert named(diagnosed(now)) == [Cause.GPU_LOST]


def test_a_machine_that_never_had_a_gpu_did_not_lose_it():
    none = evolve(THEN, on_gpu_ratio=0.0, engine_sees_gpu=False)
    assert named(diagnosed(none, none)) == [Cause.UNKNOWN]


def test_a_desktop_that_appears_on_the_gpu_is_no_cause():
    now = evolve(THEN, gpu_users=(Process("gnome-shell", 3, 90 * MIB),))
    assert named(diagnosed(now)) == [Cause.UNKNOWN]


def test_the_command_against_a_leftover_names_its_pid():
    assert sick_with(Cause.LEFTOVER).likeliest.command == "kill 4711"


def test_what_needs_root_is_a_command_to_type_and_nothing_that_orac_tries():
    for cause in (Cause.POWER_MODE, Cause.HEAT, Cause.OVER_CURRENT, Cause.LEFTOVER):
        assert not REMEDIES[cause].reversible


def test_faults_in_themselves_are_found_where_nothing_is_known_of_the_baseline():
    now = evolve(THEN, **SIGNS[Cause.LEFTOVER])
    assert named(diagnosed(now, None))[0] == Cause.LEFTOVER
    assert (
        sick_with(Cause.LEFTOVER).likeliest.likelihood > diagnosed(now, None).likeliest.likelihood
    )


def test_nothing_known_at_all_is_unknown():
    diagnosis = diagnosed(Snapshot(), None)
    assert named(diagnosis) == [Cause.UNKNOWN]
    assert (
        "nothing is known of the machine at the time of the baseline"
        in (diagnosis.findings[0].evidence[0])
    )


@pytest.mark.parametrize(("baseline", "present"), [((), SLOW), (FAST, ()), ((float("nan"),), SLOW)])
def test_without_rates_nobody_is_called_healthy_or_sick(baseline, present):
    diagnosis = diagnose(Evidence(baseline, present, THEN, THEN))
    assert diagnosis.healthy is None
    assert diagnosis.findings == ()
    assert "nothing to compare with" in diagnosis.summary


def test_figures_of_the_series_stand_in_place_of_a_single_look():
    series = tuple(
        Moment(float(n), gpu_load_ratio=0.9, gpu_frequency_hz=306_000_000, hottest_c=50.0 + n)
        for n in range(9)
    )
    seen = Evidence(FAST, SLOW, THEN, THEN, series=series).seen
    assert seen.gpu.frequency_hz == 306_000_000
    assert seen.hottest == ("tj", 60.0)
    assert named(diagnosed(THEN, series=series)) == [Cause.CLOCKS]


def test_swapping_is_told_from_the_totals_of_the_series():
    series = tuple(Moment(float(n), swapped_in_bytes=n * 50 * MIB) for n in range(5))
    diagnosis = diagnosed(THEN, series=series)
    assert named(diagnosis) == [Cause.SWAP]
    assert "50 MiB/s" in diagnosis.findings[0].evidence[0]


rates = st.lists(st.floats(0.1, 200), max_size=8).map(tuple)
memories = st.builds(
    Memory,
    total_bytes=st.none() | st.integers(0, 1 << 37),
    available_bytes=st.none() | st.integers(0, 1 << 37),
    free_bytes=st.none() | st.integers(0, 1 << 37),
    unified=st.none() | st.booleans(),
    swap_total_bytes=st.none() | st.integers(0, 1 << 37),
    swap_free_bytes=st.none() | st.integers(0, 1 << 37),
)
gpus = st.builds(
    Gpu,
    load_ratio=st.none() | st.floats(0, 1),
    frequency_hz=st.none() | st.integers(0, 1 << 32),
    memory_total_bytes=st.none() | st.integers(0, 1 << 37),
)
devices = st.builds(
    Device,
    power_mode=st.none() | st.sampled_from(["15W", "25W"]),
    temperatures=st.dictionaries(st.sampled_from(["tj", "cpu"]), st.none() | st.floats(0, 120)),
    throttling=st.none() | st.booleans(),
)
processes = st.none() | st.lists(
    st.builds(
        Process,
        st.sampled_from(["a", "b"]),
        st.none() | st.integers(1, 9),
        st.none() | st.integers(0, 1 << 36),
    ),
    max_size=3,
).map(tuple)
numbers = st.none() | st.integers(0, 1 << 36)
OF = {
    "on_gpu_ratio": st.none() | st.floats(0, 1),
    "engine_sees_gpu": st.none() | st.booleans(),
    "engine_version": st.none() | st.sampled_from(["1", "2"]),
    "memory_before": memories,
    "memory": memories,
    "gpu": gpus,
    "gpu_before": gpus,
    "device": devices,
    "leftovers": processes,
    "gpu_users": processes,
    "cpu_load_ratio": st.none() | st.floats(0, 1),
}
snapshots = st.builds(
    Snapshot, **{each.name: OF.get(each.name, numbers) for each in fields(Snapshot)}
)
evidences = st.builds(
    Evidence,
    baseline=rates,
    present=rates,
    now=snapshots,
    then=st.none() | snapshots,
    shallow=rates,
)


@given(evidences)
def test_whatever_is_known_the_diagnosis_is_in_order(evidence):
    diagnosis = diagnose(evidence)
    likelihoods = [each.likelihood for each in diagnosis.findings]
    assert likelihoods == sorted(likelihoods, reverse=True)
    assert all(0 < each <= 1 for each in likelihoods)
    assert bool(diagnosis.findings) == (diagnosis.healthy is False)
    assert len(named(diagnosis)) == 1 or Cause.UNKNOWN not in named(diagnosis)
    assert all(each.remedy and each.evidence for each in diagnosis.findings)


@given(snapshots)
def test_whatever_was_so_at_the_baseline_explains_nothing(snapshot):
    assert named(diagnosed(snapshot, snapshot)) == [Cause.UNKNOWN]
