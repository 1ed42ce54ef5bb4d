"""Options of an answer as fields of a request to an engine. Pure."""

from typing import Any

from orac_core import GenerateOptions, InvalidRequest, numbers_given, option_problems


def checked_fields(options: GenerateOptions, context_length: int | None) -> dict[str, Any]:
    """Return *options* as fields of a request to an engine.

    An answer is never unlimited: without ``max_tokens`` it may fill the context. Where that is not
    known, None, the engine has to see to it.

    Raises:
        InvalidRequest: naming every option that is out of range.
    """
    if problems := option_problems(options):
        told = "; ".join(f"{name} {problem}" for name, problem in problems.items())
        raise InvalidRequest(told, {f"options.{name}": it for name, it in problems.items()})
    fields: dict[str, Any] = dict(numbers_given(options))
    if options.stop:
        fields["stop"] = list(options.stop)
    if context_length is not None:
        fields["max_tokens"] = min(fields.get("max_tokens", context_length), context_length)
    return fields
