"""What else holds for bodies, where only code checks it: JSON Schema beside that of the type."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

Rule = dict[str, Any]

NOT_SET: Rule = {"enum": [None, False, 0, "", [], {}]}
"""Of a field that is known only to be refused."""

ONE: Rule = {"enum": [1, None]}
EMPTY: Rule = {"enum": [[], None]}
NO_REPAIR: Rule = {"properties": {"repair": {"const": False}}}


def _refused(*names: str) -> Rule:
    return dict.fromkeys(names, NOT_SET)


PROMPT: Mapping[str, Any] = MappingProxyType(
    {
        "oneOf": [
            {"required": ["prompt"], "properties": {"prompt": {"type": "string"}}},
            {"required": ["messages"], "properties": {"messages": {"type": "array"}}},
        ],
        "anyOf": [
            NO_REPAIR,
            {
                "required": ["format"],
                "properties": {
                    "format": {"type": ["string", "object"]},
                    "stream": {"const": False},
                },
            },
        ],
    }
)
"""Either a prompt or messages; what is repaired has a format, and is no stream."""

WORK = ("experiment", "remedy", "forget")

EXAMINATION: Mapping[str, Any] = MappingProxyType(
    {
        "oneOf": [
            {"properties": {name: {"const": False} for name in WORK}},
            *(
                {
                    "required": [asked],
                    "properties": {name: {"const": name == asked} for name in WORK},
                }
                for asked in WORK
            ),
        ],
        "anyOf": [
            {"properties": {"cycles": {"type": "null"}}},
            {"required": ["experiment"], "properties": {"experiment": {"const": True}}},
        ],
    }
)
"""One thing at a time; only an experiment has cycles."""

TEXT_PART: Rule = {
    "required": ["text"],
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
}
SAID: Rule = {"type": ["string", "array"]}

TURN: Rule = {
    "properties": {"content": {"items": TEXT_PART}},
    "anyOf": [
        {
            "required": ["content"],
            "properties": {
                "role": {"enum": ["system", "developer", "user"]},
                "content": SAID,
                "tool_calls": EMPTY,
            },
        },
        {
            "required": ["content", "tool_call_id"],
            "properties": {
                "role": {"const": "tool"},
                "content": SAID,
                "tool_calls": EMPTY,
                "tool_call_id": {"type": "string"},
            },
        },
        {
            "required": ["content"],
            "properties": {"role": {"const": "assistant"}, "content": SAID},
        },
        {
            "required": ["tool_calls"],
            "properties": {
                "role": {"const": "assistant"},
                "tool_calls": {"type": "array", "minItems": 1},
            },
        },
    ],
}

FORMAT: Rule = {
    "anyOf": [
        {"properties": {"type": {"enum": ["text", "json_object"]}}},
        {"required": ["json_schema"], "properties": {"json_schema": {"type": "object"}}},
    ]
}

IN_JSON: Rule = {"type": "object", "properties": {"type": {"enum": ["json_object", "json_schema"]}}}

CHAT: Mapping[str, Any] = MappingProxyType(
    {
        "properties": {
            "n": ONE,
            "messages": {"items": TURN},
            "response_format": FORMAT,
            "modalities": {"items": {"const": "text"}},
            **_refused("logit_bias", "audio", "functions", "function_call", "web_search_options"),
        },
        "allOf": [
            {
                "anyOf": [
                    {"properties": {"top_logprobs": {"enum": [0, None]}}},
                    {"required": ["logprobs"], "properties": {"logprobs": {"const": True}}},
                ]
            },
            {
                "anyOf": [
                    {"properties": {"tool_choice": {"enum": ["auto", "none", None]}}},
                    {
                        "required": ["tools"],
                        "properties": {"tools": {"type": "array", "minItems": 1}},
                    },
                ]
            },
            {
                "anyOf": [
                    {"properties": {"orac": NO_REPAIR}},
                    {
                        "required": ["response_format"],
                        "properties": {
                            "response_format": IN_JSON,
                            "stream": {"enum": [False, None]},
                        },
                    },
                ]
            },
        ],
    }
)
"""That tools have names of their own, and the one that is chosen is there, no schema can tell."""

COMPLETION: Mapping[str, Any] = MappingProxyType(
    {
        "properties": {
            "n": ONE,
            "best_of": ONE,
            "prompt": {"items": {"type": "string"}, "maxItems": 1},
            "orac": NO_REPAIR,
            **_refused("logit_bias", "echo", "suffix"),
        }
    }
)

EMBEDDINGS: Mapping[str, Any] = MappingProxyType(
    {"properties": {"input": {"items": {"type": "string"}}}}
)
