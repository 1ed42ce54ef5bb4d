"""Whatever stands in the files of a machine, looking at it neither fails nor invents figures."""

import math

import pytest
from attrs import asdict
from hypothesis import given, settings
from hypothesis import strategies as st

from orac_core.devices import linux
from orac_core.devices.figures import COLDEST_C, HOTTEST_C, MOST_BYTES, MOST_HERTZ, MOST_WATTS
from orac_core.devices.kernel import Kernel
from orac_core.devices.values import together
from tests.core.devices import boards
from tests.core.devices.boards import build

NUMBERS = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(["-1", "9" * 400, "0", "1_000", "١٢", "max", "N/A", "1e300", "-256000"]),
).map(str.encode)
MEASURING = {**boards.ORIN_NANO, **boards.described("orin-nano")["files"]}
FILES = sorted({path for files in boards.ALL.values() for path in files} | set(MEASURING))
CONTENTS = st.one_of(
    st.binary(max_size=300),
    NUMBERS,
    NUMBERS.map(lambda number: b"MemTotal: " + number + b" kB\nMemFree: " + number + b" kB"),
    NUMBERS.map(lambda number: b"0::/" + number + b"/..\n1:memory:/\0/" + number),
    NUMBERS.map(lambda number: b"pmode:" + number + b"\npswpin " + number),
)


def assert_sane(reading):
    for name, value in asdict(reading.memory).items() | asdict(reading.gpu).items():
        if name.endswith("_bytes"):
            assert value is None or 0 <= value <= MOST_BYTES, name
    load, hertz = reading.gpu.load_ratio, reading.gpu.frequency_hz
    assert load is None or 0 <= load <= 1
    assert hertz is None or 0 < hertz <= MOST_HERTZ
    for each in reading.device.temperatures.values():
        assert each is None or (COLDEST_C <= each <= HOTTEST_C and math.isfinite(each))
    for each in reading.device.rails_w.values():
        assert each is None or 0 <= each <= MOST_WATTS
    assert all(each >= 0 for each in reading.device.over_current_events.values())
    for text in (reading.gpu.name, reading.device.board, reading.device.jetpack):
        assert text is None or (text.isprintable() and text)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return build(tmp_path_factory.mktemp("board"), MEASURING)


@settings(max_examples=150, deadline=None)
@given(contents=st.dictionaries(st.sampled_from(FILES), CONTENTS, max_size=12))
def test_any_bytes_in_any_file_give_true_figures_or_none(root, contents):
    build(root, contents)
    try:
        kernel = Kernel(root)
        assert_sane(together(linux.fixed(root), linux.changing(root)))
        assert_sane(kernel.read())
        kernel.close()
    finally:
        for path in contents.keys() - MEASURING.keys():
            (root / path).unlink()
        build(root, {path: MEASURING[path] for path in contents.keys() & MEASURING.keys()})
