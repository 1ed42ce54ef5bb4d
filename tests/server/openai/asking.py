"""What is asked on OpenAI's routes, and what their streams say."""

from typing import Any

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"

TURN = {"role": "user", "content": "hi"}
CHATTING = {"model": "small", "messages": [TURN]}
COMPLETING = {"model": "small", "prompt": "once"}
EMBEDDING = {"model": "small", "input": "one two"}

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "the weather of a place",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
    },
}


def choices(frames):
    """The choice of each frame that has one."""
    return [frame["choices"][0] for frame in frames if frame != "[DONE]" and frame["choices"]]


def content(frames):
    """The text of a chat that *frames* make together."""
    return "".join(choice["delta"].get("content") or "" for choice in choices(frames))
