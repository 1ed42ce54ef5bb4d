"""The part of the reference page that is written from a measurement."""

from pathlib import Path

from .measurement import Measurement, Score

BEGIN = "<!-- measured: written by scripts/train_demo_model.py -->"
END = "<!-- end of what is measured -->"


def update(page: Path, measurement: Measurement, path: Path, minutes: float | None) -> None:
    """Writes the measured part between its marks in the page; the rest stays as it is."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    part = measured(measurement, path.stat().st_size, minutes)
    page.write_text(f"{before}{BEGIN}\n{part}\n{END}{after}", encoding="utf-8")


def measured(measurement: Measurement, size: int, minutes: float | None) -> str:
    """The tables of a measurement."""
    total = measurement.total
    trained = f" Training took {minutes:.0f} minutes on two processor cores." if minutes else ""
    rows = [row(f"`{action}`", score) for action, score in measurement.actions.items()]
    rows += [row("**all**", total), row("with an unseen number", measurement.numerals)]
    examples = [f"| {text} | `{answer}` |" for text, answer in measurement.examples]
    return "\n".join(
        (
            f"The file has {size / 1e6:.2f} MB.{trained} Of {total.count} unseen sentences it",
            f"answered {total.right} exactly ({total.share:.2%}), at temperature 0 on llama.cpp:",
            "",
            "| the right action | sentences | exact answers | share |",
            "| --- | ---: | ---: | ---: |",
            *rows,
            "",
            "Its answers, from the same measurement:",
            "",
            "| sentence | answer |",
            "| --- | --- |",
            *examples,
        )
    )


def row(name: str, score: Score) -> str:
    """A line of the table of scores."""
    return f"| {name} | {score.count} | {score.right} | {score.share:.2%} |"
