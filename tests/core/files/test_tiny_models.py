"""The tiny models do what they are for: a real engine loads them and answers."""

import subprocess
import sys

import pytest

from tests.tiny_models import TINY_MODELS, write, write_all

# A process of its own for each, which never tears the engine down: that may hang.
ANSWER = """
import os, sys
import xllamacpp
settings = xllamacpp.CommonParams()
settings.model.path = sys.argv[1]
settings.n_ctx, settings.warmup = 128, False
settings.hostnames, settings.api_keys = [sys.argv[2]], ["k"]
engine = xllamacpp.Server(settings)
answer = engine.handle_completions({"prompt": "hello the world", "n_predict": 8})
chat = [{"role": "user", "content": "hello"}]
reply = engine.handle_chat_completions({"messages": chat, "max_tokens": 8})
print(*(it["usage"]["completion_tokens"] for it in (answer, reply)), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize(
    ("name", "parts"), [*((model.name, 1) for model in TINY_MODELS), ("tiny-tinyllama", 3)]
)
def test_llama_cpp_loads_and_answers(tmp_path, name, parts):
    path = write(tmp_path, name, parts=parts)

    ran = subprocess.run(
        [sys.executable, "-c", ANSWER, path, tmp_path / "engine.sock"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert all(1 <= int(tokens) <= 8 for tokens in ran.stdout.split())


def test_they_stand_for_the_six_models_orac_is_made_for(tmp_path):
    paths = write_all(tmp_path)

    assert len(paths) == 6
    assert {model.architecture for model in TINY_MODELS} == {
        "qwen3",
        "llama",
        "gptneox",
        "gpt2",
        "phi2",
    }
    assert all(path.stat().st_size < 1_000_000 for path in paths.values())


def test_they_are_the_same_bytes_each_time_and_others_with_another_seed(tmp_path):
    first = write(tmp_path, "tiny-phi2", stem="a").read_bytes()

    assert write(tmp_path, "tiny-phi2", stem="b").read_bytes() == first
    assert write(tmp_path, "tiny-phi2", stem="c", seed=1).read_bytes() != first
