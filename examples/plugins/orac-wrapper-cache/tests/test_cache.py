"""What is answered anew, and what is not."""

from contextlib import aclosing

import pytest
from attrs import define, evolve
from hypothesis import given
from hypothesis import strategies as st
from orac_wrapper_cache import LONGEST, PIECES, Cache, answers_wanted, repeatable, whole

from orac_core import (
    Chunk,
    GenerateOptions,
    GenerateRequest,
    InstanceHealth,
    LoadProgress,
    LoadRequest,
    Message,
    ModelInfo,
    Plugins,
    Rates,
    Toolbox,
    Usage,
    hookimpl,
)

COLD = GenerateOptions(temperature=0.0)
ASKED = GenerateRequest("counter", messages=(Message("user", "How many?"),), options=COLD)

LAST = Chunk(done=True, finish_reason="stop", usage=Usage(5, 2), rates=Rates(100.0, 10.0))


@define(eq=False)
class Counter:
    """A backend that never answers the same twice."""

    last: Chunk = LAST
    digest: str | None = None
    answers: int = 0

    @hookimpl
    async def models(self):
        return [ModelInfo("counter", digest=self.digest)]

    @hookimpl
    async def load(self, request):
        yield LoadProgress("start")

    @hookimpl
    async def unload(self, model):
        pass

    @hookimpl
    async def generate(self, request):
        self.answers += 1
        yield Chunk("It is ")
        yield Chunk(str(self.answers))
        yield self.last

    @hookimpl
    async def health(self):
        return InstanceHealth(usable=True)


def cached(backend=None, name="one", cache=None):
    plugins = Plugins()
    plugins.register("cache", cache or Cache())
    return plugins.bind(name, backend or Counter())


async def everything(stream):
    async with aclosing(stream):
        return [item async for item in stream]


async def text(instance, request=ASKED):
    return "".join(chunk.text for chunk in await everything(instance.generate(request)))


async def test_the_same_request_is_answered_once_and_replayed_in_its_pieces():
    instance = cached()
    first, second = [await everything(instance.generate(ASKED)) for _ in range(2)]
    assert [chunk.text for chunk in first] == [chunk.text for chunk in second]
    assert second[1].text == "1"


async def test_a_replayed_answer_tells_no_speed_and_a_prompt_that_was_cached():
    instance = cached()
    await everything(instance.generate(ASKED))
    last = (await everything(instance.generate(ASKED)))[-1]
    assert last.rates == Rates()
    assert last.usage == Usage(5, 2, cached_tokens=5)


async def test_how_long_the_model_stays_makes_no_other_request():
    instance = cached()
    await text(instance)
    assert await text(instance, evolve(ASKED, keep_alive_s=60.0)) == "It is 1"


@pytest.mark.parametrize(
    "other",
    [
        evolve(ASKED, messages=(Message("user", "How many, please?"),)),
        evolve(ASKED, messages=(Message("system", "How many?"),)),
        evolve(ASKED, messages=(), prompt="How many?"),
        evolve(ASKED, format="json"),
        evolve(ASKED, format={"type": "object"}),
        evolve(ASKED, options=evolve(COLD, max_tokens=9)),
        evolve(ASKED, options=evolve(COLD, stop=(".",))),
        evolve(ASKED, options=evolve(COLD, seed=1)),
        evolve(ASKED, model="other"),
    ],
    ids=str,
)
async def test_another_request_gets_its_own_answer(other):
    instance = cached()
    await text(instance)
    assert await text(instance, other) == "It is 2"


async def test_another_instance_has_its_own_answers():
    cache = Cache()
    backend = Counter()
    await text(cached(backend, "one", cache))
    assert await text(cached(backend, "two", cache)) == "It is 2"


@pytest.mark.parametrize(
    "request_",
    [
        evolve(ASKED, options=GenerateOptions()),
        evolve(ASKED, options=GenerateOptions(temperature=0.1)),
        evolve(ASKED, options=evolve(COLD, max_tokens=1)),
        evolve(ASKED, options=evolve(COLD, ignore_eos=True)),
        evolve(ASKED, toolbox=Toolbox()),
        evolve(ASKED, top_logprobs=0),
    ],
    ids=str,
)
async def test_what_may_differ_or_is_measured_is_never_replayed(request_):
    instance = cached()
    assert [await text(instance, request_) for _ in range(2)] == ["It is 1", "It is 2"]


@pytest.mark.parametrize(
    "last",
    [
        Chunk(done=True, finish_reason="length"),
        Chunk(done=True, finish_reason="deadline"),
        Chunk(done=True, finish_reason="stop", truncated_prompt=True),
        Chunk("x" * LONGEST, done=True, finish_reason="stop"),
    ],
    ids=["length", "deadline", "a cut prompt", "too long"],
)
async def test_an_answer_that_was_cut_or_is_too_long_is_not_kept(last):
    instance = cached(Counter(last))
    await everything(instance.generate(ASKED))
    await everything(instance.generate(ASKED))
    assert (await everything(instance.generate(ASKED)))[1].text == "3"


async def test_an_answer_whose_reader_left_is_not_kept():
    instance = cached()
    async with aclosing(instance.generate(ASKED)) as stream:
        await anext(stream)
    assert await text(instance) == "It is 2"


async def test_an_answer_whose_reader_left_after_the_last_piece_is_kept():
    instance = cached()
    async with aclosing(instance.generate(ASKED)) as stream:
        while not (await anext(stream)).done:
            pass
    assert await text(instance) == "It is 1"


async def test_a_load_forgets_what_the_model_said():
    instance = cached()
    await text(instance)
    await everything(instance.load(LoadRequest("counter")))
    assert await text(instance) == "It is 2"


async def test_an_answer_that_began_before_a_load_is_not_replayed_after_it():
    instance = cached()
    async with aclosing(instance.generate(ASKED)) as stream:
        await anext(stream)
        await everything(instance.load(LoadRequest("counter")))
        assert [chunk.text async for chunk in stream] == ["1", ""]
    assert await text(instance) == "It is 2"


async def test_a_model_that_became_another_under_its_name_answers_anew():
    backend = Counter(digest="sha256:1")
    instance = cached(backend)
    await instance.models()
    await text(instance)
    await instance.models()
    assert await text(instance) == "It is 1"
    backend.digest = "sha256:2"
    await instance.models()
    assert await text(instance) == "It is 2"


async def test_the_answer_that_was_not_asked_for_the_longest_goes_first():
    instance = cached(cache=Cache(room=2))
    one, two, three = [evolve(ASKED, prompt=name) for name in ("1", "2", "3")]
    for request in (one, two, one, three):
        await text(instance, request)
    assert await text(instance, one) == "It is 1"
    assert await text(instance, two) == "It is 4"


async def test_no_room_keeps_nothing():
    instance = cached(cache=Cache(room=0))
    assert [await text(instance) for _ in range(2)] == ["It is 1", "It is 2"]


@given(st.text())
def test_whatever_the_variable_says_is_a_number_of_answers(said):
    assert answers_wanted(said) >= 0


def test_the_variable_is_taken_as_a_number():
    assert [answers_wanted(each) for each in (None, "12", "0", "-1", "x")] == [256, 12, 0, 0, 0]


@given(st.floats(allow_nan=False), st.integers(0, 20) | st.none())
def test_only_temperature_0_is_repeatable(temperature, top_logprobs):
    options = GenerateOptions(temperature=temperature)
    request = GenerateRequest("m", options=options, top_logprobs=top_logprobs)
    assert repeatable(request) == (temperature == 0 and top_logprobs is None)


@given(st.integers(0, PIECES + 2))
def test_an_answer_of_too_many_pieces_is_not_kept(pieces):
    chunks = [*[Chunk("")] * pieces, Chunk(done=True, finish_reason="stop")]
    assert whole(chunks) == (pieces < PIECES)
