"""The parts that quality is made of, in one table: what each is called and what it counts."""

from collections.abc import Mapping
from types import MappingProxyType

from attrs import frozen


@frozen
class Part:
    """One rate of a report.

    Attributes:
        name: As in the report.
        family: Parts of one family are counted on the same answers, so that they err together.
        weight: What it counts in the score; 0 where it is shown only.
    """

    name: str
    family: str
    weight: float


PARTS = (
    Part("json_validity", "json", 1.0),
    Part("json_validity_loose", "json", 0.0),
    Part("schema_compliance", "json", 2.0),
    Part("schema_compliance_loose", "json", 0.0),
    Part("tool_name", "tool_call", 1.0),
    Part("tool_arguments_valid", "tool_call", 1.0),
    Part("tool_arguments_equal", "tool_call", 2.0),
    Part("instruction_prompt_strict", "instruction", 2.0),
    Part("instruction_prompt_loose", "instruction", 0.0),
    Part("instruction_strict", "instruction", 1.0),
    Part("instruction_loose", "instruction", 0.0),
    Part("exact", "exact", 2.0),
    Part("regex", "regex", 1.0),
    Part("plan_legal", "plan", 1.0),
    Part("plan_goal", "plan", 2.0),
    Part("plan_shortest", "plan", 1.0),
)
"""Every part, in the order of a report."""

FAMILIES: Mapping[str, str] = MappingProxyType({part.name: part.family for part in PARTS})
"""The family of each part."""

WEIGHTS: Mapping[str, float] = MappingProxyType({part.name: part.weight for part in PARTS})
"""What each part counts unless the caller says otherwise."""
