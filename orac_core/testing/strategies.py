"""Hypothesis strategies for the values that cross the border between ORAC and a backend.

Each makes values that ORAC itself might hand over or accept; nothing in them is out of range.
"""

from typing import Any, get_args

from hypothesis import strategies as st

from ..conversation import (
    CallPiece,
    Candidate,
    Chunk,
    Embeddings,
    EmbedRequest,
    FinishReason,
    GenerateOptions,
    GenerateRequest,
    Message,
    Rates,
    Token,
    Tool,
    Toolbox,
    ToolCall,
    Usage,
)
from ..types import (
    Adapter,
    AdapterInfo,
    FileInfo,
    InstanceHealth,
    LoadedInfo,
    LoadProgress,
    LoadRequest,
    LoadStage,
    ModelInfo,
    ModelState,
    PullAction,
    PullProgress,
    PullRequest,
)

TEXTS = st.text(max_size=40)
NAMES = st.text("abcXYZ019-_.:/", min_size=1, max_size=20)
BYTES = st.integers(0, 1 << 40)
COUNTS = st.integers(0, 1 << 20)
RATIOS = st.floats(0, 1)
SECONDS = st.floats(0, 1e9)
SPEEDS = st.floats(0.001, 1e6)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def _some(strategy: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, max_size=most).map(tuple)


def plain_json() -> st.SearchStrategy[Any]:
    """Return values that JSON has, some of them nested."""
    leaves = st.none() | st.booleans() | st.integers(-(1 << 53), 1 << 53) | TEXTS
    return st.recursive(
        leaves, lambda it: st.lists(it, max_size=3) | st.dictionaries(TEXTS, it, max_size=3)
    )


def tables() -> st.SearchStrategy[dict[str, Any]]:
    """Return tables of plain JSON values."""
    return st.dictionaries(TEXTS, plain_json(), max_size=3)


def adapters() -> st.SearchStrategy[Adapter]:
    """Return LoRA adapters."""
    return st.builds(Adapter, NAMES, RATIOS, _maybe(DIGESTS), BYTES)


def adapter_infos() -> st.SearchStrategy[AdapterInfo]:
    """Return what is told of LoRA adapters."""
    return st.builds(AdapterInfo, NAMES, RATIOS, _maybe(DIGESTS), _maybe(TEXTS), BYTES)


def load_requests(models: st.SearchStrategy[str] = NAMES) -> st.SearchStrategy[LoadRequest]:
    """Return requests to load one of *models*."""
    return st.builds(
        LoadRequest,
        models,
        context_length=_maybe(st.integers(64, 8192)),
        gpu_layers=_maybe(st.integers(0, 99)),
        parallel=_maybe(st.integers(1, 8)),
        keep_alive_s=_maybe(SECONDS | st.just(float("inf"))),
        force=st.booleans(),
        pinned=_maybe(st.booleans()),
        adapters=_maybe(_some(adapters())),
    )


@st.composite
def load_progresses(draw: st.DrawFn) -> LoadProgress:
    """Return how far loads are; never more is done than there is."""
    total = draw(_maybe(BYTES))
    done = draw(st.integers(0, total)) if total is not None else 0
    return LoadProgress(draw(st.sampled_from(get_args(LoadStage))), done, total, draw(TEXTS))


def pull_requests(models: st.SearchStrategy[str] = NAMES) -> st.SearchStrategy[PullRequest]:
    """Return requests to fetch one of *models*."""
    sources = NAMES.map("https://models.example/{}".format)
    return st.builds(
        PullRequest, models, _maybe(sources), _maybe(DIGESTS.map("sha256:{}".format)), st.booleans()
    )


@st.composite
def pull_progresses(draw: st.DrawFn) -> PullProgress:
    """Return how far downloads are; never more is done than there is."""
    total = draw(_maybe(BYTES))
    done = draw(st.integers(0, total)) if total is not None else 0
    action = draw(_maybe(st.sampled_from(get_args(PullAction))))
    return PullProgress(draw(TEXTS), done, total, draw(_maybe(BYTES)), action)


def file_infos() -> st.SearchStrategy[FileInfo]:
    """Return the files of models."""
    return st.builds(FileInfo, NAMES, _maybe(DIGESTS), _maybe(TEXTS))


def loaded_infos() -> st.SearchStrategy[LoadedInfo]:
    """Return what engines use for loaded models."""
    return st.builds(
        LoadedInfo,
        *(_maybe(COUNTS), _maybe(COUNTS), _maybe(st.integers(1, 64)), _maybe(BYTES)),
        on_gpu_ratio=_maybe(RATIOS),
        mapped_bytes=_maybe(BYTES),
        adapters=_maybe(_some(adapters())),
        cache_type_bytes=_maybe(st.sampled_from((0.5625, 1.0625, 2.0, 4.0))),
    )


@st.composite
def model_infos(draw: st.DrawFn, models: st.SearchStrategy[str] = NAMES) -> ModelInfo:
    """Return models as backends list them; what is loaded is ready."""
    state = draw(st.sampled_from(ModelState))
    abilities = st.sampled_from(("completion", "chat", "tools", "embedding"))
    told = st.builds(
        ModelInfo,
        models,
        st.just(state),
        state_reason=TEXTS if state is ModelState.FAILED else st.none(),
        size_bytes=_maybe(BYTES),
        modified_at=_maybe(SECONDS),
        context_length=_maybe(COUNTS),
        capabilities=st.sets(abilities).map(sorted).map(tuple),
        file=_maybe(file_infos()),
        loaded=loaded_infos() if state is ModelState.READY else st.none(),
        expires_at=_maybe(SECONDS),
        would_use=_maybe(loaded_infos()),
        digest=_maybe(DIGESTS),
        adapters=_some(adapter_infos()),
        others=_maybe(st.integers(0, 1000)),
        **dict.fromkeys(("remote", "metered", "relayed"), st.booleans()),
    )
    return draw(told)


def instance_healths() -> st.SearchStrategy[InstanceHealth]:
    """Return what backends say of themselves."""
    return st.builds(InstanceHealth, st.booleans(), TEXTS, _maybe(NAMES), tables(), _some(TEXTS))


def tool_calls() -> st.SearchStrategy[ToolCall]:
    """Return calls of tools."""
    return st.builds(ToolCall, NAMES, NAMES, TEXTS)


def tools() -> st.SearchStrategy[Tool]:
    """Return tools that take a table of any kind."""
    return st.builds(Tool, NAMES, TEXTS, st.just({"type": "object"}))


def toolboxes() -> st.SearchStrategy[Toolbox]:
    """Return some tools, and whether to call one."""
    choices = st.sampled_from(("auto", "none", "required"))
    return st.builds(Toolbox, _some(tools()), choices, _maybe(st.booleans()))


def messages() -> st.SearchStrategy[Message]:
    """Return turns of a conversation, without calls of tools."""
    return st.builds(Message, st.sampled_from(("system", "user", "assistant")), TEXTS)


def generate_options() -> st.SearchStrategy[GenerateOptions]:
    """Return options of sampling, each in the range that ORAC accepts."""
    penalties = _maybe(st.floats(-2, 2))
    return st.builds(
        GenerateOptions,
        temperature=_maybe(st.floats(0, 2)),
        top_p=_maybe(RATIOS),
        top_k=_maybe(st.integers(0, 100)),
        min_p=_maybe(RATIOS),
        seed=_maybe(st.integers(0, (1 << 32) - 1)),
        max_tokens=_maybe(st.integers(1, 64)),
        stop=_some(st.text(min_size=1, max_size=5)),
        repeat_penalty=_maybe(st.floats(0.5, 2)),
        frequency_penalty=penalties,
        presence_penalty=penalties,
        ignore_eos=_maybe(st.booleans()),
    )


def generate_requests(
    models: st.SearchStrategy[str] = NAMES,
) -> st.SearchStrategy[GenerateRequest]:
    """Return questions to one of *models*: a conversation, or a text to continue."""
    rest = {"options": generate_options(), "keep_alive_s": _maybe(SECONDS)}
    turns = st.lists(messages(), min_size=1, max_size=3).map(tuple)
    more = {"toolbox": _maybe(toolboxes()), "top_logprobs": _maybe(st.integers(0, 20))}
    formats = st.none() | st.just("json") | st.just({"type": "object"})
    chats = st.builds(GenerateRequest, models, turns, format=formats, **rest, **more)
    return chats | st.builds(GenerateRequest, models, prompt=TEXTS, **rest)


def usages() -> st.SearchStrategy[Usage]:
    """Return counts of tokens."""
    return st.builds(Usage, _maybe(COUNTS), _maybe(COUNTS), _maybe(COUNTS))


def rates() -> st.SearchStrategy[Rates]:
    """Return speeds of answers."""
    return st.builds(Rates, _maybe(SPEEDS), _maybe(SPEEDS))


def candidates() -> st.SearchStrategy[Candidate]:
    """Return tokens that might have been chosen."""
    return st.builds(Candidate, TEXTS, st.floats(-100, 0))


def tokens() -> st.SearchStrategy[Token]:
    """Return tokens with their probabilities."""
    return st.builds(
        Token, TEXTS, st.floats(-100, 0), _maybe(st.binary(max_size=4)), _some(candidates())
    )


def call_pieces() -> st.SearchStrategy[CallPiece]:
    """Return pieces of calls: first ones, and later ones."""
    first = st.builds(CallPiece, st.integers(0, 3), TEXTS, NAMES, NAMES)
    return first | st.builds(CallPiece, st.integers(0, 3), TEXTS)


def chunks() -> st.SearchStrategy[Chunk]:
    """Return pieces of answers that are not the last."""
    return st.builds(Chunk, TEXTS, calls=_some(call_pieces()), tokens=_some(tokens()))


def last_chunks() -> st.SearchStrategy[Chunk]:
    """Return last pieces of answers."""
    reasons = st.sampled_from(get_args(FinishReason))
    return st.builds(Chunk, TEXTS, st.just(value=True), reasons, usages(), rates(), st.booleans())


def answers() -> st.SearchStrategy[tuple[Chunk, ...]]:
    """Return whole answers, as a stream of their pieces."""
    return st.tuples(_some(chunks(), 5), last_chunks()).map(lambda it: (*it[0], it[1]))


def embed_requests(models: st.SearchStrategy[str] = NAMES) -> st.SearchStrategy[EmbedRequest]:
    """Return requests for vectors by one of *models*."""
    texts = st.lists(TEXTS, min_size=1, max_size=3).map(tuple)
    return st.builds(EmbedRequest, models, texts, _maybe(st.integers(1, 64)), _maybe(SECONDS))


@st.composite
def embeddings(draw: st.DrawFn) -> Embeddings:
    """Return vectors of the length 1, all with as many numbers."""
    size = draw(st.integers(1, 4))
    axes = draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=3))
    vectors = tuple(tuple(float(at == axis) for at in range(size)) for axis in axes)
    return Embeddings(vectors, draw(usages()))
