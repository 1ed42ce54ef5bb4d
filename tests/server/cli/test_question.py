from orac_core import GenerateOptions, Message
from orac_server import requests, schema
from orac_server.cli.question import Question

FULL = Question(
    "m", "hi", "be brief", {"type": "object"}, GenerateOptions(temperature=0.0, max_tokens=3)
)


def test_what_was_not_said_is_not_sent():
    assert Question("m", "hi").body == {"model": "m", "prompt": "hi"}


def test_what_says_little_is_sent_all_the_same():
    body = Question("m", "hi", format={}, options=GenerateOptions(seed=0)).body
    assert body == {"model": "m", "prompt": "hi", "format": {}, "options": {"seed": 0}}


def test_the_library_is_asked_what_the_server_would_ask_it():
    over_http = schema.structure(FULL.body, requests.PromptBody).request
    assert over_http == FULL.request
    assert FULL.request.messages == (Message("system", "be brief"), Message("user", "hi"))
