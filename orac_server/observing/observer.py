"""The observer: told of every request and every event, it counts, writes down and makes spans."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from orac_core.events import Event

from ..errors import RULES
from . import passage as passages
from .journal import Ended, Journal
from .passage import Passage
from .tallies import Tallies
from .tracing import Tracing

OF_INTEREST = frozenset({"answer", "breaker", "fallback", "model", "provision"})
"""Kinds of events that are learned of."""

ERRORS = frozenset(each.__name__ for each in RULES)
"""Classes of errors that are told apart; others are counted as ``other``."""

SPEEDS = (
    ("prefill_tokens_per_second", "orac_prefill_tokens_per_second"),
    ("decode_tokens_per_second", "orac_decode_tokens_per_second"),
)
TOKENS = (
    ("prompt_tokens", "orac_prompt_tokens_total"),
    ("cached_tokens", "orac_cached_tokens_total"),
    ("completion_tokens", "orac_completion_tokens_total"),
)

Key = tuple[str, str]


@define(eq=False)
class Observer:
    """Learns of everything once.

    Attributes:
        journal: Writes it down; None where nothing is.
        tracing: Makes spans of it; None where nobody wants any.
        clock: Tells seconds that never go back.
        tallies: What was counted.
        in_flight: Requests that are being answered.
        status: The last verdict on the whole; None before the first.
        memory_bytes: Memory of the machine; None as long as nobody has asked.
    """

    journal: Journal | None = None
    tracing: Tracing | None = None
    clock: Callable[[], float] = time.perf_counter
    tallies: Tallies = field(factory=Tallies, init=False)
    in_flight: int = field(default=0, init=False)
    status: str | None = field(default=None, init=False)
    memory_bytes: int | None = field(default=None, init=False)
    _loading: dict[Key, float] = field(factory=dict, init=False)

    def heard(self, event: Event) -> None:
        """Take an event; it neither waits nor raises."""
        match event.kind:
            case "answer":
                self._answered(event.data)
            case "model":
                self._turned(event.data)
            case "fallback":
                self._passed_on(event.data)
            case "breaker" if self.journal is not None:
                self.journal.spared(**event.data)
            case "provision" if self.journal is not None:
                self.journal.provisioned(dict(event.data))

    def ended(self, ended: Ended, passage: Passage, client: str | None) -> None:
        """Take a request that has ended."""
        labels = ended.method, ended.route
        self.tallies.count("orac_http_requests_total", (*labels, str(ended.status)))
        self.tallies.observe("orac_http_request_duration_seconds", labels, ended.duration_s)
        if self.tracing is not None:
            self.tracing.ended(passage, ended)
        if self.journal is not None:
            self.journal.request(ended, passage, client)

    def _answered(self, data: Mapping[str, Any]) -> None:
        key = data["instance"], data["model"]
        passages.about("/".join(key))
        if self.tracing is not None:
            self.tracing.answered(passages.CURRENT.get(), data)
        self.tallies.observe("orac_answer_queue_seconds", key, data["queue_ms"] / 1000)
        match data["error"]:
            case None:
                self._whole(key, data)
            case "cancelled":
                self.tallies.count("orac_answers_cancelled_total", key)
            case error:
                told = error if error in ERRORS else "other"
                self.tallies.count("orac_answer_errors_total", (*key, told))

    def _whole(self, key: Key, data: Mapping[str, Any]) -> None:
        """Count an answer that was given to its end."""
        add, genai = self.tallies.observe, key
        self.tallies.count("orac_answers_total", (*key, data["finish_reason"]))
        for each, name in TOKENS:
            if data[each]:
                self.tallies.count(name, key, data[each])
        for each, name in SPEEDS:
            if data[each] is not None:
                self.tallies.keep(name, key, data[each])
        elapsed_s = data["elapsed_ms"] / 1000
        add("gen_ai_server_request_duration_seconds", genai, elapsed_s)
        if data["ttft_ms"] is None:
            return
        ttft_s, written = data["ttft_ms"] / 1000, data["completion_tokens"] or 0
        add("gen_ai_server_time_to_first_token_seconds", genai, ttft_s)
        if written > 1:
            each_s = (elapsed_s - ttft_s) / (written - 1)
            add("gen_ai_server_time_per_output_token_seconds", genai, each_s)

    def _passed_on(self, data: Mapping[str, Any]) -> None:
        ends = data["role"], data["failed"], data["next"]
        self.tallies.count("orac_fallbacks_total", ends)
        if self.journal is not None:
            self.journal.passed_on(*ends, data["error"])

    def _turned(self, data: Mapping[str, Any]) -> None:
        key = data["instance"], data["model"]
        if self.journal is not None:
            self.journal.turned(dict(data))
        match data["state"]:
            case "starting":
                self._loading[key] = self.clock()
            case "ready":
                self._ready(key)
            case "failed":
                self._loading.pop(key, None)
                self.tallies.count("orac_model_failures_total", key)
            case "stopped" if self._loading.pop(key, None) is None:
                self.tallies.count("orac_model_unloads_total", key)

    def _ready(self, key: Key) -> None:
        began = self._loading.pop(key, None)
        if began is None:  # another program has loaded it
            return
        took_s = self.clock() - began
        self.tallies.count("orac_model_loads_total", key)
        self.tallies.observe("orac_model_load_seconds", key, took_s)
        if self.journal is not None:
            self.journal.loaded(*key, took_s)
