"""The real engine, llama.cpp, in a process of its own that is ended after its answers."""

import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

LONGEST_ANSWER = 64
ONE_ANSWER = 60.0
"""Seconds the engine may take for an answer, and for the first one with loading."""


def answers(path: Path, texts: Sequence[str]) -> list[str]:
    """What the model in this file answers to each text at temperature 0, as a chat.

    Raises:
        RuntimeError: The engine has ended; what it printed before says why.
        TimeoutError: The engine did not answer.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(str(path), there), daemon=True)
    process.start()
    there.close()
    try:
        return [asked(here, text) for text in texts]
    finally:
        process.kill()
        process.join()


def asked(engine: Connection, text: str) -> str:
    """The engine's answer to one text."""
    try:
        engine.send(text)
        if not engine.poll(ONE_ANSWER):
            raise TimeoutError(f"llama.cpp did not answer {text!r} within {ONE_ANSWER} s")
        return str(engine.recv())
    except (ConnectionError, EOFError) as error:
        raise RuntimeError("llama.cpp has ended: what it printed above says why") from error


def serve(path: str, caller: Connection) -> None:
    """Answers texts that come through the pipe until the process is ended."""
    import xllamacpp  # noqa: PLC0415 - only the measured process loads the engine

    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.n_ctx = 512
    parameters.n_parallel = 1
    parameters.warmup = False
    parameters.cpuparams.n_threads = 1
    parameters.verbosity = 1  # errors only
    server = xllamacpp.Server(parameters)
    while True:
        caller.send(answer(server, caller.recv()))


def answer(server: Any, text: str) -> str:
    """One greedy answer to one text."""
    reply = server.handle_chat_completions(
        {
            "messages": [{"role": "user", "content": text}],
            "temperature": 0,
            "max_tokens": LONGEST_ANSWER,
        }
    )
    return str(reply["choices"][0]["message"]["content"])
