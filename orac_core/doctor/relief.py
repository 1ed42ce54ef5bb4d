"""What gives memory back, in the order in which to try it, each with its numbers (pure)."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from math import inf, isfinite
from shlex import quote

from attrs import field, frozen

from ..durations import shown
from ..memory import Savings, size
from .causes import DROP_CACHES, REMEDIES, Cause

LEAST_BYTES = 1 << 20
"""What frees less is not worth a word."""

CACHE_BYTES = 256 << 20
"""A page cache below this hides no memory that a model would miss."""

FASTEST = "MAXN"
"""How the names of the power modes without a limit begin."""


class Relief(StrEnum):
    """A way to have more memory, in the order of trying."""

    CONTEXT = "smaller_context"
    PARALLEL = "fewer_parallel"
    CACHE = "quantised_cache"
    LAYERS = "fewer_gpu_layers"
    EVICT = "evict"
    PAGE_CACHE = "page_cache"
    POWER = "power_mode"


@frozen
class Tenant:
    """A model that is loaded.

    Attributes:
        name: ``instance/model``.
        kind: Kind of its backend.
        memory_bytes: What it takes; None where its engine does not say.
        savings: What it would leave free, were it loaded smaller.
        idle_s: Seconds since its last answer began; infinite when it never gave one.
        stays: Whether it must not go: it is pinned or required.
    """

    name: str
    kind: str
    memory_bytes: int | None = None
    savings: Savings = field(factory=Savings)
    idle_s: float = inf
    stays: bool = False

    @property
    def instance(self) -> str:
        """Name of its backend."""
        return self.name.partition("/")[0]

    @property
    def model(self) -> str:
        """What its engine calls it."""
        return self.name.partition("/")[2]


@frozen
class Situation:
    """Where memory is short.

    Attributes:
        tenants: The models that are loaded.
        server: Whether a server of ORAC is there to load and unload them.
        unified: Whether CPU and GPU share one memory.
        cards: Whether there are GPUs with memory of their own.
        free_bytes: What nothing uses, not even the page cache.
        page_cache_bytes: What the kernel keeps of files.
        power_mode: Name of the power mode of a Jetson.
        jetson_clocks: Whether a Jetson holds its clocks at their highest.
    """

    tenants: tuple[Tenant, ...] = ()
    server: bool = True
    unified: bool = False
    cards: bool = False
    free_bytes: int | None = None
    page_cache_bytes: int | None = None
    power_mode: str | None = None
    jetson_clocks: bool | None = None


@frozen
class Advice:
    """Something to do.

    Attributes:
        relief: Which of the ways it is.
        text: In words, with the numbers.
        command: What to type; None when there is no one command. ORAC never runs it.
        setting: What to write into the manifest, or the variable to set for the engine, so that
            it lasts; None when there is none.
        model: The model that it is about, as ``instance/model``.
        frees_bytes: What it frees; None where that can not be told, 0 where it frees none.
        estimated: Whether ``frees_bytes`` is an estimate.
    """

    relief: Relief
    text: str
    command: str | None = None
    setting: str | None = None
    model: str | None = None
    frees_bytes: int | None = None
    estimated: bool = True


def advised(situation: Situation) -> tuple[Advice, ...]:
    """Return all that would help, in the order of `Relief`; of one way what frees most first."""
    found = ((each, way(situation)) for each, way in WAYS.items())
    return tuple(each for _, advices in found for each in sorted(advices, key=_least))


def _least(advice: Advice) -> int:
    return -(advice.frees_bytes or 0)


def _contexts(situation: Situation) -> Iterator[Advice]:
    for each in situation.tenants:
        tokens, frees = each.savings.context_length, each.savings.context_bytes
        if tokens and frees and frees >= LEAST_BYTES:
            yield Advice(
                Relief.CONTEXT,
                f"load {each.name} with half its context, {tokens} tokens: frees {_about(frees)}",
                _again(situation, each, f"--context-length {tokens}"),
                f'models.files."{each.model}".context_length = {tokens}',
                each.name,
                frees,
            )


def _parallels(situation: Situation) -> Iterator[Advice]:
    for each in situation.tenants:
        answers, frees = each.savings.parallel, each.savings.parallel_bytes
        if answers and frees and frees >= LEAST_BYTES:
            yield Advice(
                Relief.PARALLEL,
                f"let {each.name} give {_at_once(answers)}: frees {_about(frees)}",
                _again(situation, each, f"--parallel {answers}"),
                f"backends.{each.instance}.parallel = {answers}",
                each.name,
                frees,
            )


def _caches(situation: Situation) -> Iterator[Advice]:
    for each in situation.tenants:
        frees, setting = each.savings.cache_bytes, QUANTISED.get(each.kind)
        if frees and setting and frees >= LEAST_BYTES:
            yield Advice(
                Relief.CACHE,
                f"keep the context of {each.name} in Q8_0, unless that is done already: frees "
                f"{_about(frees)} of F16",
                None,
                setting.format(instance=each.instance),
                each.name,
                frees,
            )


def _layers(situation: Situation) -> Iterator[Advice]:
    for each in situation.tenants if situation.cards else ():
        layers, frees = each.savings.gpu_layers, each.savings.gpu_layers_bytes
        if layers and frees and frees >= LEAST_BYTES:
            yield Advice(
                Relief.LAYERS,
                f"put {layers} layers of {each.name} on the GPU, half of them: frees "
                f"{_about(frees)} there, which the CPU's memory gets; it becomes slower",
                _again(situation, each, f"--gpu-layers {layers}"),
                None,
                each.name,
                frees,
            )


def _evictions(situation: Situation) -> Iterator[Advice]:
    """Yield the model that has been idle for longest; what is pinned or required stays."""
    may_go = [each for each in situation.tenants if not each.stays]
    longest = max(may_go, key=lambda each: (each.idle_s, each.memory_bytes or 0), default=None)
    if longest is not None:
        frees = longest.memory_bytes
        what = "what it takes" if frees is None else size(frees)
        yield Advice(
            Relief.EVICT,
            f"unload {longest.name}, which {_idle(longest)}: frees {what}",
            _gone(situation, longest),
            None,
            longest.name,
            frees,
            estimated=False,
        )


def _page_cache(situation: Situation) -> Iterator[Advice]:
    cached, free = situation.page_cache_bytes, situation.free_bytes
    if situation.unified and cached is not None and cached >= CACHE_BYTES:
        beside = "" if free is None else f", beside {size(free)} that nothing uses"
        yield Advice(
            Relief.PAGE_CACHE,
            f"give the page cache back before a load: {size(cached)}{beside}. It counts as free "
            "above, but CUDA and older engines count it as used",
            DROP_CACHES,
            frees_bytes=cached,
            estimated=True,
        )


def _power(situation: Situation) -> Iterator[Advice]:
    mode, text = situation.power_mode, "it frees nothing, but answers end sooner"
    if mode and not mode.startswith(FASTEST):
        command = REMEDIES[Cause.POWER_MODE].command
        yield Advice(
            Relief.POWER,
            f"the power mode is {mode}; in a larger one, `sudo nvpmodel -m` and its number, {text}",
            command,
            frees_bytes=0,
            estimated=False,
        )
    elif situation.jetson_clocks is False:
        text = f"clocks are not held at their highest; held there {text}"
        command = "sudo jetson_clocks"
        yield Advice(Relief.POWER, text, command, frees_bytes=0, estimated=False)


WAYS: dict[Relief, Callable[[Situation], Iterator[Advice]]] = {
    Relief.CONTEXT: _contexts,
    Relief.PARALLEL: _parallels,
    Relief.CACHE: _caches,
    Relief.LAYERS: _layers,
    Relief.EVICT: _evictions,
    Relief.PAGE_CACHE: _page_cache,
    Relief.POWER: _power,
}

QUANTISED = {
    "llamacpp": 'backends.{instance}.cache_type = "q8_0"',
    "ollama": "OLLAMA_FLASH_ATTENTION=1 OLLAMA_KV_CACHE_TYPE=q8_0 (for `ollama serve`)",
}
"""How kinds of backend are told to keep less of each number in the cache."""


def _again(situation: Situation, tenant: Tenant, how: str) -> str | None:
    name = quote(tenant.name)
    return f"orac unload {name} && orac load {name} {how}" if situation.server else None


def _gone(situation: Situation, tenant: Tenant) -> str | None:
    """Return what unloads a model; without a server of ORAC only its engine can."""
    if situation.server:
        return f"orac unload {quote(tenant.name)}"
    return f"ollama stop {quote(tenant.model)}" if tenant.kind == "ollama" else None


def _idle(tenant: Tenant) -> str:
    idle = tenant.idle_s
    return f"was last asked {shown(idle)} ago" if isfinite(idle) else "has not been asked yet"


def _about(count: int) -> str:
    return f"about {size(count)}"


def _at_once(answers: int) -> str:
    return "one answer at a time" if answers == 1 else f"{answers} answers at once"
