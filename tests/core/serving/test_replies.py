import asyncio
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orac_core
from orac_core import (
    Answer,
    BackendError,
    BackendUnavailable,
    CallPiece,
    Candidate,
    Chunk,
    DeadlineExceeded,
    EmbedRequest,
    GenerateRequest,
    InvalidRequest,
    Message,
    QueueFull,
    Rates,
    Token,
    Tool,
    Toolbox,
    ToolCall,
    Usage,
)
from orac_core.manifest import parse
from orac_core.serving.draft import joined
from tests.scripted import ScriptedBackend, plugins
from tests.waiting import until

WANTED = {"type": "object", "required": ["action"], "properties": {"action": {"type": "string"}}}
DONE = Chunk(done=True, finish_reason="stop", usage=Usage(7, 3, 1), rates=Rates(10.0, 20.0))


@pytest.fixture
def backend():
    return ScriptedBackend()


@pytest.fixture
async def manager(backend):
    data = {
        "backends": {"here": {"kind": "scripted"}},
        "server": {"max_concurrency": 1, "max_queue": 0},
        "models": {"aliases": {"vectors": "small"}},
    }
    known = parse(data, "test")
    async with orac_core.open(known, plugins=plugins(backend), environ={}) as manager:
        yield manager


def ask(**rest) -> GenerateRequest:
    return GenerateRequest("small", messages=(Message("user", "go"),), **rest)


async def test_answers_that_are_over_leave_no_timer_until_their_deadline(manager):
    def timers():
        scheduled = getattr(asyncio.get_running_loop(), "_scheduled")  # noqa: B009 - it is private
        return sum(not each.cancelled() for each in scheduled)

    await manager.answer(ask())
    before = timers()
    for _ in range(5):
        await manager.answer(ask())
    async with aclosing(manager.generate(ask())) as pieces:
        await anext(pieces)
    assert timers() <= before


async def test_calls_of_tools_come_in_pieces_and_whole(manager, backend):
    pieces = (
        Chunk(calls=(CallPiece(0, '{"me', id="a", name="move"),)),
        Chunk(calls=(CallPiece(0, 'ters": 1}'), CallPiece(1, "{}", id="b", name="stop"))),
    )
    last = Chunk(done=True, finish_reason="tool_calls")
    backend.scripts = [(*pieces, last)]
    toolbox = Toolbox((Tool("move"), Tool("stop")))
    *got, answer = [each async for each in manager.generate(ask(toolbox=toolbox))]
    assert tuple(got) == pieces
    assert answer.tool_calls == (
        ToolCall("a", "move", '{"meters": 1}'),
        ToolCall("b", "stop", "{}"),
    )
    assert (answer.text, answer.finish_reason) == ("", "tool_calls")
    assert answer.ttft_s is not None
    assert backend.asked[0].toolbox == toolbox


async def test_calls_of_tools_are_held_to_no_format(manager, backend):
    backend.scripts = [(Chunk(calls=(CallPiece(0, "{}", id="a", name="stop"),)), DONE)]
    assert (await manager.answer(ask(format="json"))).format_valid is None


async def test_probabilities_of_tokens_are_kept(manager, backend):
    tokens = (Token("a", -0.1, b"a", (Candidate("a", -0.1),)), Token("b", -0.2))
    backend.scripts = [(Chunk("a", tokens=tokens[:1]), Chunk("b", tokens=tokens[1:]), DONE)]
    answer = await manager.answer(ask(top_logprobs=1))
    assert (answer.text, answer.tokens) == ("ab", tokens)


async def test_text_in_the_last_chunk_is_a_piece_like_any_other(manager, backend):
    backend.scripts = [(Chunk("a"), Chunk("b", done=True, finish_reason="length"))]
    *pieces, answer = [each async for each in manager.generate(ask())]
    assert [(each.text, each.done) for each in pieces] == [("a", False), ("b", False)]
    assert (answer.text, answer.finish_reason) == ("ab", "length")


@given(
    calls=st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1), st.text()), max_size=4),
    data=st.data(),
)
def test_calls_are_whole_however_they_were_cut(calls, data):
    pieces = []
    for index, (id_, name, arguments) in enumerate(calls):
        cut = data.draw(st.integers(0, len(arguments)))
        pieces.append(CallPiece(index, arguments[:cut], id_, name))
        pieces.append(CallPiece(index, arguments[cut:]))
    assert joined(pieces) == tuple(ToolCall(*call) for call in calls)


async def test_an_answer_that_misses_its_format_is_repaired_once_when_asked(manager, backend):
    backend.scripts = [(Chunk('{"act": 1}'), DONE), (Chunk('{"action": "go"}'), DONE)]
    answer = await manager.answer(ask(format=WANTED), repair=True)
    assert (answer.text, answer.format_valid, answer.repaired) == ('{"action": "go"}', True, True)
    assert answer.usage == Usage(14, 6, 2)
    asked, told = backend.asked[1].messages[-2:]
    assert asked == Message("assistant", '{"act": 1}')
    assert '"action" is a required property' in told.content


async def test_an_answer_is_not_repaired_unasked(manager, backend):
    backend.scripts = [(Chunk("no"), DONE)]
    answer = await manager.answer(ask(format="json"))
    assert (answer.text, answer.format_valid, answer.repaired) == ("no", False, False)


async def test_an_answer_that_is_right_is_asked_for_once(manager, backend):
    backend.scripts = [(Chunk("{}"), DONE)]
    answer = await manager.answer(ask(format="json"), repair=True)
    assert (answer.format_valid, answer.repaired) == (True, False)
    assert backend.count("generate") == 1


async def test_a_second_answer_that_misses_the_format_says_so(manager, backend):
    backend.scripts = [(Chunk("no"), DONE), (Chunk("still no"), DONE)]
    answer = await manager.answer(ask(format="json"), repair=True)
    assert (answer.text, answer.format_valid, answer.repaired) == ("still no", False, True)
    assert backend.count("generate") == 2


async def test_a_repair_that_fails_leaves_the_first_answer(manager, backend):
    backend.scripts = [(Chunk("no"), DONE), (Chunk("{"),)]
    answer = await manager.answer(ask(format="json"), repair=True)
    assert (answer.text, answer.format_valid, answer.repaired) == ("no", False, False)


async def test_a_repair_needs_a_format_and_a_conversation(manager):
    with pytest.raises(InvalidRequest, match="give one, or leave `repair` out"):
        await manager.answer(ask(), repair=True)
    with pytest.raises(InvalidRequest, match="give messages"):
        await manager.answer(GenerateRequest("small", prompt="a", format="json"), repair=True)


async def test_texts_become_vectors_by_a_model_that_is_loaded_for_them(manager, backend):
    found = await manager.embed(EmbedRequest("vectors", ("go", "go on")))
    assert found.vectors == ((2.0, 1.0), (5.0, 2.0))
    assert (found.model, found.instance, found.role) == ("small", "here", "vectors")
    assert found.usage.prompt_tokens == 3
    assert 0 <= found.queue_s + found.load_s <= found.elapsed_s
    assert [step for step, _ in backend.calls] == ["load", "canary", "embed"]


async def test_vectors_wait_in_the_queue_like_answers(manager, backend):
    release = backend.hold("embed")
    first = asyncio.create_task(manager.embed(EmbedRequest("small", ("a",))))
    await backend.reached["embed"].wait()
    with pytest.raises(QueueFull):
        await manager.embed(EmbedRequest("small", ("b",)))
    release.set()
    assert (await first).vectors == ((1.0, 1.0),)


async def test_vectors_are_bounded_by_their_deadline(manager, backend):
    backend.hold("embed")
    with pytest.raises(DeadlineExceeded, match="waiting for the vectors"):
        await manager.embed(EmbedRequest("small", ("a",)), deadline_s=0.05)


async def test_a_model_that_was_lost_is_loaded_again_for_vectors(manager, backend):
    await manager.embed(EmbedRequest("small", ("a",)))
    backend.loaded.clear()
    assert (await manager.embed(EmbedRequest("small", ("abc",)))).vectors == ((3.0, 1.0),)
    assert backend.count("load") == 2


async def test_an_engine_that_fails_to_embed_is_an_error(manager, backend):
    backend.failures["embed"] = BackendError("no vectors today")
    with pytest.raises(BackendError, match="no vectors today"):
        await manager.embed(EmbedRequest("small", ("a",)))


async def test_an_unload_waits_for_vectors(manager, backend):
    release = backend.hold("embed")
    embedding = asyncio.create_task(manager.embed(EmbedRequest("small", ("a",))))
    await backend.reached["embed"].wait()
    unloading = asyncio.create_task(manager.unload("small"))
    await asyncio.sleep(0)
    assert not unloading.done()
    release.set()
    await embedding
    await unloading
    assert backend.loaded == {}


async def test_a_caller_that_leaves_ends_the_work_on_its_vectors(manager, backend):
    backend.hold("embed")
    embedding = asyncio.create_task(manager.embed(EmbedRequest("small", ("a",))))
    await backend.reached["embed"].wait()
    embedding.cancel()
    await asyncio.wait([embedding])
    await until(lambda: not manager.busy)
    assert embedding.cancelled()


async def test_an_answer_that_began_is_not_begun_again(manager, backend):
    backend.failures["word 0"] = BackendUnavailable("gone")
    with pytest.raises(BackendUnavailable):
        async with aclosing(manager.generate(ask())) as pieces:
            async for piece in pieces:
                assert not isinstance(piece, Answer)
    assert backend.count("generate") == 1
