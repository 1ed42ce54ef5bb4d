"""Which samples of a report count, and what one of them says (pure)."""

from .results import Report, Sample


def counted(report: Report, model: str, workload: str) -> list[Sample]:
    """Return the requests that count: not those of the warm-up, not those without an answer."""
    return [
        one
        for one in report.samples
        if (one.model, one.workload) == (model, workload) and one.round > 0 and one.error is None
    ]


def j_per_token(sample: Sample) -> float | None:
    """Return the joules of one request for each token of its answer; None where not measured."""
    if sample.energy is None or not sample.completion_tokens:
        return None
    return sample.energy.joules / sample.completion_tokens
