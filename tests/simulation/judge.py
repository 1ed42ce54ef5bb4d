"""Says of each unload and each refusal whether it had a reason."""

import math
from collections.abc import Callable, Mapping

from attrs import define, field, frozen

from orac_core import InsufficientMemory, ServedModel, StateConflict
from tests.simulation.callers import Caller
from tests.simulation.engine import Judge, SimulatedEngine
from tests.simulation.lives import Life

DEAF_S = 20.0
"""So long ago an engine must have failed to answer that ORAC has surely heard of it since."""

PATIENCE_S = 1.0
"""How much longer than asked for a model may stay; one that is slow to unload is at it."""

EXCUSES = ("did not come free within", "is kept by its engine")
"""Refusals that no number decides."""


@frozen
class Room:
    """What there was for a load that was turned away.

    Attributes:
        at: When that was.
        available_bytes: At once.
        evictable_bytes: What idle and busy models would have given back.
    """

    at: float
    available_bytes: int
    evictable_bytes: int


@define(eq=False)
class CourtOfMemory(Judge):
    """Knows what was asked for, so what may happen to the models in memory.

    Attributes:
        engines: All of them.
        clock: Tells the time.
        wrongs: What had no reason.
        unloads_asked: Those who asked for an unload, by model.
        keeps: Those who said how long a model shall stay, by model.
        last_use: When somebody who had asked for a model was done, by model.
        rooms: What there was for each load that was turned away, by model.
    """

    engines: Mapping[str, SimulatedEngine]
    clock: Callable[[], float]
    wrongs: list[str] = field(factory=list)
    unloads_asked: dict[str, list[Caller]] = field(factory=dict)
    keeps: dict[str, list[Caller]] = field(factory=dict)
    last_use: dict[str, float] = field(factory=dict)
    rooms: dict[str, list[Room]] = field(factory=dict)

    def hear(self, caller: Caller) -> None:
        """Take note of what somebody asks for."""
        if caller.what in ("unload", "force"):
            self.unloads_asked.setdefault(caller.model, []).append(caller)
        if caller.keep_alive_s is not None:
            self.keeps.setdefault(caller.model, []).append(caller)

    def dismiss(self, caller: Caller) -> None:
        """Look at how it ended."""
        self.last_use[caller.model] = max(caller.ended_at, self.last_use.get(caller.model, 0))
        error = caller.error
        if isinstance(error, InsufficientMemory) and caller.what in ("prompt", "load"):
            self._look_at_refusal(caller, error)
        if isinstance(error, StateConflict) and caller.what == "prompt":
            asked = self.unloads_asked.get(caller.model, ())
            if not any(each.ended_at >= caller.begun_at for each in asked):
                self.wrongs.append(f"{caller} was refused, and nobody was at it: {error}")

    def unloads(self, engine: SimulatedEngine, model: str) -> None:
        life, known = engine.lives[model], engine.known[model]
        if not life.proved or self._asked_for(model, life):
            return
        if known.wishes.get("pinned"):
            self.wrongs.append(f"{model} is pinned and was unloaded")
        elif not self._expired(engine, model, life) and not self._made_room(engine, model, life):
            self.wrongs.append(f"{model} was unloaded for no reason")

    def turned_away(self, engine: SimulatedEngine, model: str) -> None:
        machine = engine.machine
        could_go = sum(
            machine.held[name]
            for other in self.engines.values()
            for name, life in other.lives.items()
            if name != model and self._could_go(other, name, life)
        )
        room = Room(self.clock(), machine.available_bytes, could_go)
        self.rooms.setdefault(model, []).append(room)

    def see(self, served: ServedModel, engine: SimulatedEngine) -> None:
        """Look whether a model in memory should be gone, of which nobody wants anything."""
        model = served.info.id
        life = engine.lives.get(model)
        if life is None or life.foreign or engine.busy_with(model) or life.listed_at == math.inf:
            return
        if any(it.deaf for it in self.engines.values()):
            return
        heard_at = max(it.deaf_at for it in self.engines.values())  # what one says waits for all
        since = max(life.listed_at, heard_at, self.last_use.get(model, 0))
        longest = max(self._keeps_s(engine, model, life))
        if self.clock() - since > longest + PATIENCE_S:
            self.wrongs.append(f"{model} is idle for {self.clock() - since:g} s and still there")

    def _look_at_refusal(self, caller: Caller, error: InsufficientMemory) -> None:
        rooms = [it for it in self.rooms.get(caller.model, ()) if it.at <= caller.ended_at]
        if not error.needed_bytes or not rooms or any(it in str(error) for it in EXCUSES):
            return
        if str(error).startswith("no memory for"):
            return
        room = rooms[-1]
        if error.needed_bytes <= room.available_bytes + room.evictable_bytes:
            self.wrongs.append(f"{caller} was refused beside {room}: {error}")

    def _could_go(self, engine: SimulatedEngine, model: str, life: Life) -> bool:
        deaf = engine.down or any(it.deaf or self._was_deaf(it) for it in self.engines.values())
        kept = life.foreign or engine.known[model].kept
        looked_at_again = engine.loading[model] or not life.proved
        return not (deaf or kept or looked_at_again)

    def _was_deaf(self, engine: SimulatedEngine) -> bool:
        return self.clock() - engine.deaf_at < DEAF_S

    def _asked_for(self, model: str, life: Life) -> bool:
        return any(it.ended_at >= life.begun_at for it in self.unloads_asked.get(model, ()))

    def _expired(self, engine: SimulatedEngine, model: str, life: Life) -> bool:
        return self._idle_s(engine, model) >= min(self._keeps_s(engine, model, life)) - 0.001

    def _idle_s(self, engine: SimulatedEngine, model: str) -> float:
        return self.clock() - engine.happened_at[model]

    def _keeps_s(self, engine: SimulatedEngine, model: str, life: Life) -> set[float]:
        if engine.known[model].wishes.get("pinned"):
            return {math.inf}
        said = self.keeps.get(model, ())
        asked = {it.keep_alive_s for it in said if it.ended_at >= life.begun_at}
        return {engine.known[model].keep_s, *(each for each in asked if each is not None)}

    def _made_room(self, engine: SimulatedEngine, model: str, life: Life) -> bool:
        """Whether another load wanted memory since its last answer began."""
        if life.foreign or engine.known[model].kept:
            return False
        return any(
            other.awaiting - {model} or other.awaited_at >= life.answered_at
            for other in self.engines.values()
        )
