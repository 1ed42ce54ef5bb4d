import io

import pytest

from orac_server.cli import output


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def a_stream(encoding="utf-8", kind=io.TextIOWrapper):
    return kind(io.BytesIO(), encoding=encoding, errors="strict", write_through=True)


def written(stream):
    return stream.buffer.getvalue().decode()


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2Jgone", "a\rb", "a\x00b", "a\u202eb", "\ud800"])
def test_a_name_can_not_forge_a_line_or_move_the_cursor(name):
    shown = output.escaped(name)
    assert shown.isprintable()
    assert "\\" in shown


def test_a_name_that_prints_stays_as_it_is():
    assert output.escaped("Qwen3-0.6B [Q4] è 模型") == "Qwen3-0.6B [Q4] è 模型"


@pytest.mark.parametrize(
    ("encoding", "signs"),
    [("utf-8", output.SIGNS), ("ascii", output.ASCII_SIGNS), ("iso8859-1", output.ASCII_SIGNS)],
)
def test_the_signs_are_those_that_the_stream_can_show(encoding, signs):
    assert output.marks(a_stream(encoding)) == signs


def test_a_letter_that_the_stream_can_not_write_is_escaped_instead_of_raising(monkeypatch):
    stream = a_stream("ascii")
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.stderr", a_stream("ascii"))
    output.never_fail_on_a_letter()
    output.piece("naïve")
    assert written(stream) == "na\\xefve"


def test_an_answer_is_written_as_it_is_when_nobody_looks(monkeypatch):
    stream = a_stream()
    monkeypatch.setattr("sys.stdout", stream)
    output.piece("a\x1b[31m\tb\n")
    assert written(stream) == "a\x1b[31m\tb\n"


def test_an_answer_can_not_control_the_terminal_it_is_shown_on(monkeypatch):
    stream = a_stream(kind=Terminal)
    monkeypatch.setattr("sys.stdout", stream)
    output.piece("a\x1b[31m\tb\n")
    assert written(stream) == "a\\x1b[31m\tb\n"


def test_a_table_has_one_line_for_each_row_with_tabs_between(capsys):
    output.table(("A", "B"), [("1", "two words"), ("x\ty\nz", "")])
    assert capsys.readouterr().out == "A\tB\n1\ttwo words\nx\\ty\\nz\t\n"


def test_a_table_on_a_terminal_takes_names_as_text_and_not_as_markup(monkeypatch):
    stream = a_stream(kind=Terminal)
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("TERM", "dumb")
    output.table(("MODEL",), [("[red]name[/red]",), (":smile:",)])
    assert "[red]name[/red]" in written(stream)
    assert ":smile:" in written(stream)


@pytest.mark.parametrize(
    ("width", "header"),
    [(20, "FIRST SECOND THIRD"), (19, "FIRST SECOND"), (12, "FIRST"), (5, "FIRST")],
)
def test_a_table_on_a_narrow_terminal_leaves_out_what_can_be_spared(monkeypatch, width, header):
    stream = a_stream(kind=Terminal)
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    columns = ("FIRST", "SECOND", "THIRD")
    output.table(columns, [("1", "2", "3")], ("THIRD", "SECOND"))
    assert [name for name in columns if name in written(stream)] == header.split()


def test_a_table_that_nobody_looks_at_leaves_nothing_out(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "3")
    output.table(("FIRST", "SECOND"), [("1", "2")], ("SECOND",))
    assert capsys.readouterr().out == "FIRST\tSECOND\n1\t2\n"


def test_waiting_draws_nothing_when_nobody_looks(capsys):
    with output.waiting("loading") as line:
        line.show("still loading")
        line.stop()
    assert capsys.readouterr() == ("", "")


def test_waiting_can_be_ended_before_the_work_is(monkeypatch):
    stream = a_stream(kind=Terminal)
    monkeypatch.setattr("sys.stderr", stream)
    with output.waiting("[b]loading") as line:
        line.stop()
        before = written(stream)
    assert "[b]loading" in before
    assert "[b]loading" not in written(stream)[len(before) :]


def test_what_is_waited_for_can_change(monkeypatch):
    stream = a_stream(kind=Terminal)
    monkeypatch.setattr("sys.stderr", stream)
    with output.waiting("loading") as line:
        line.show("reading \x1b[2J")
        line.stop()
    assert "reading \\x1b[2J" in written(stream)


def test_a_note_stands_on_stderr_with_its_further_lines_indented(capsys):
    output.note("it failed\n  because\x1b of this")
    assert capsys.readouterr() == ("", "orac: it failed\n  because\\x1b of this\n")


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [
        (None, "-"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (5_242_880, "5.0 MiB"),
        (-5_242_880, "-5.0 MiB"),
        (1024**5 * 3, "3072.0 TiB"),
    ],
)
def test_sizes_read_well(size_bytes, shown):
    assert output.size(size_bytes) == shown


@pytest.mark.parametrize(
    ("number", "shown"), [(None, "-"), (12, "12"), (596_000_000, "596.0M"), (8.03e9, "8.0B")]
)
def test_numbers_of_weights_read_well(number, shown):
    assert output.count(number) == shown


def test_what_is_not_known_is_a_dash():
    assert [output.plain(value) for value in (None, "", 0, [], ["a", "b"])] == [
        *("-", "-", "0", "-", "a,b"),
    ]


def test_only_known_facts_are_listed():
    assert output.listed({"context": 512, "GPU layers": 0, "memory": None}) == (
        "context 512, GPU layers 0"
    )
