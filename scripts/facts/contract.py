"""What a backend is tested with: the promises, the fields of a subject, the faults."""

from attrs import fields

from orac_core.testing import PROMISES, Subject
from orac_core.testing.faults import MEANINGS, OPERATIONS

from .docstrings import attributes
from .markdown import code, table


def sections() -> dict[str, str]:
    """Return a table of each."""
    known = attributes(Subject)
    return {
        "subject": table(
            ("field", "meaning"), [(code(it.name), known[it.name]) for it in fields(Subject)]
        ),
        "promises": table(
            ("id", "promise", "to mend it"), [(code(it.id), it.text, it.hint) for it in PROMISES]
        ),
        "faults": table(
            ("fault", "befalls", "what happens"),
            [(code(it), code(operation), MEANINGS[it]) for it, operation in OPERATIONS.items()],
        ),
    }
