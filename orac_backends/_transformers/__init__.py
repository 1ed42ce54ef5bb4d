"""The worker: one checkpoint in transformers, alone in a process, and nothing else of ORAC.

A program of its own, ``python -m orac_backends._transformers``, that imports nothing else of ORAC.
It reads one line of JSON from its standard input, loads, serves, and ends when that input ends:
when ORAC dies.

The line has ``model`` (a folder), ``socket``, ``key``, ``context_length``, ``device``, ``dtype``,
``threads`` and ``parent``. The key comes this way because others can read a command line.

On its Unix socket it speaks that part of OpenAI's API by which ORAC's client reads llama.cpp, so
that one reader, tested against broken streams, serves both: ``POST /v1/completions`` with either
``prompt`` or ``messages``, always streamed, one answer at a time. Each second without a piece of
text brings a comment; when that can not be written the client has left, and the answer stops at
its next token. ``GET /health`` tells what is used.
"""
