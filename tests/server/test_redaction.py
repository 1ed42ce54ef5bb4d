"""Nothing secret leaves the machine, wherever it stands."""

import json
from time import perf_counter
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_server.redaction import LEAST, MASK, Redaction, is_secret

SECRET_KEYS = (
    *("api_key", "apiKey", "API-KEY", "key", "token", "hf_token", "access.token", "secret"),
    *("client_secret", "password", "passwd", "db_pwd", "credentials", "auth", "authorization"),
    *("Authorization", "bearer", "cookie", "private", "signature", "session", "passphrase"),
    *("prompt", "prompts", "messages", "system_prompt"),
)
TOKENS = ("ORAC_TOKEN", "ORAC_ADMIN_TOKEN", "ORAC_USER_TOKEN")
HARMLESS_KEYS = ("url", "name", "models", "kind", "host", "args", "files", "x")

secret_texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=8, max_size=40
).map(lambda text: f"zyzzyva{text}")
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=20)


def nested(secret):
    """Values that hold *secret* at some depth."""
    holders = st.just(secret) | st.lists(st.just(secret), min_size=1, max_size=2)
    return st.recursive(
        st.fixed_dictionaries({}, optional={}).flatmap(
            lambda _: st.builds(
                lambda key, value, others: {**others, key: value},
                st.sampled_from(SECRET_KEYS),
                holders | st.dictionaries(st.sampled_from(HARMLESS_KEYS), holders, min_size=1),
                st.dictionaries(st.sampled_from(HARMLESS_KEYS), scalars, max_size=3),
            )
        ),
        lambda inner: st.builds(
            lambda key, value, others: {**others, key: value},
            st.sampled_from(HARMLESS_KEYS),
            inner | st.lists(inner, min_size=1, max_size=3),
            st.dictionaries(st.sampled_from(HARMLESS_KEYS), scalars, max_size=3),
        ),
        max_leaves=4,
    )


def texts(value):
    """Every text in *value*, keys included."""
    match value:
        case dict():
            return [it for key, each in value.items() for it in (key, *texts(each))]
        case list():
            return [it for each in value for it in texts(each)]
        case _:
            return [str(value)]


@given(st.data(), secret_texts)
def test_no_secret_under_any_key_is_left_nor_where_else_it_stands(data, secret):
    settings = data.draw(nested(secret))
    redaction = Redaction.of(settings, {})
    left = redaction.value({"settings": settings, "said": f"refused: {secret}, sorry"})
    assert not [text for text in texts(left) if secret in text]
    assert json.loads(json.dumps(left)) == left


@given(
    st.sampled_from(["http", "https", "ws", "postgres"]),
    secret_texts.map(lambda text: quote(text, safe="")),
    st.sampled_from(
        [
            *("{s}://{x}@h:1/v1", "{s}://joe:{x}@h/", "{s}://{x}:pw@h", "{s}://h/v1?token={x}"),
            *("{s}://h/services/{x}", "{s}://h/#{x}", "joe:{x}@h:80", "see {s}://joe:{x}@h/v1 now"),
        ]
    ),
    st.sampled_from(HARMLESS_KEYS),
)
def test_no_secret_in_a_url_is_left(scheme, secret, form, key):
    text = form.format(s=scheme, x=secret)
    settings = {"backends": {"a": {key: text, "list": [text]}}}
    left = Redaction.of(settings, {}).value({"settings": settings, "said": f"{text} is down"})
    assert not [each for each in texts(left) if secret in each]


@given(secret_texts, st.sampled_from(["--api-key", "--token", "-hf-token", "--password"]))
def test_no_secret_in_a_list_of_arguments_is_left(secret, option):
    settings = {"args": ["--port", "80", option, secret, f"{option}={secret}"]}
    left = Redaction.of(settings, {}).value(settings)
    assert left["args"][:4] == ["--port", "80", option, MASK]
    assert secret not in left["args"][4]


@given(secret_texts, st.sampled_from([*TOKENS, "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"]))
def test_what_a_variable_holds_is_masked_wherever_it_stands(secret, name):
    redaction = Redaction.of(None, {name: secret, "PWD": "/work"})
    assert redaction.text(f"got {secret}.") == f"got {MASK}."
    assert redaction.text("/work") == "/work"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("http://joe:pw@host:11434/v1?x=1 is down", "http://***@host:11434/… is down"),
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434"),
        ("http://127.0.0.1:11434/", "http://127.0.0.1:11434"),
        ("joe:pw@host", "***@host"),
        ("Authorization: Bearer abc.def", "Authorization: *** ***"),
        ("basic dXNlcjpwYXNz", "basic ***"),
        ("--api-key abc --port 80", "--api-key *** --port 80"),
        ("api_key=abc", "api_key=***"),
        ("sk-abcdefgh12345678 is wrong", "*** is wrong"),
        ("hf_abcdefgh12345678", "***"),
        ("skyfall-36b-v2-q4_k_m", "skyfall-36b-v2-q4_k_m"),
        ("Qwen3-0.6B-Q4_K_M", "Qwen3-0.6B-Q4_K_M"),
        ("all is well", "all is well"),
    ],
)
def test_what_looks_like_a_secret_is_masked_in_any_text(text, left):
    assert Redaction().text(text) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/srv/joe/models/a.gguf", "~/models/a.gguf"),
        ("/srv/joeline/models", "/srv/joeline/models"),
        ("in /home/ann/x and /root/y", "in ~/x and ~/y"),
        ("'/Users/ann'", "'~'"),
        ("/var/home/ann", "~"),
        ("/rootfs/a and /data/root", "/rootfs/a and /data/root"),
    ],
)
def test_homes_are_written_short(text, left):
    assert Redaction.of(None, {"HOME": "/srv/joe"}).text(text) == left


def test_a_home_at_the_top_is_none():
    assert Redaction.of(None, {"HOME": "/"}).text("/models") == "/models"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("max_tokens", 5), ("prompt_tokens", 7), ("decode_tokens_per_second", 1.5)),
        *(("keep_alive", "5m"), ("token", None), ("no_auth", True), ("api_key", "")),
        *(("system", "Linux"), ("models", {}), ("message", "all is well"), ("state", "ready")),
    ],
)
def test_what_is_no_secret_stays(key, value):
    assert Redaction().value({key: value}) == {key: value}


def test_what_somebody_asked_is_masked():
    assert is_secret("system", "You are a robot.")
    assert is_secret("prompts", ["Move forward"])


def test_what_is_too_short_to_be_looked_for_is_masked_in_its_own_place():
    short = "a" * (LEAST - 1)
    settings = {"api_key": short, "url": f"http://u:{short}@h"}
    left = Redaction.of(settings, {}).value(settings)
    assert left == {"api_key": MASK, "url": f"http://{MASK}@h"}


@pytest.mark.parametrize("text", ["a" * 20_000, "a:" * 10_000, "key" * 7_000, "a://" * 5_000])
def test_no_text_takes_long(text):
    started = perf_counter()
    Redaction().text(text)
    assert perf_counter() - started < 2
