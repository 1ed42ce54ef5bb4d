"""Who may ask an engine, and when."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orac_backends.llamacpp.turns import Turns


async def played(slots, texts, arrivals):
    """Let works come in that order; return the sets that ran at once, as they began to."""
    turns, running, seen = Turns(slots, texts), [], []

    async def ask(number, work, leaves):
        async with turns.of(work):
            running.append((number, work))
            seen.append(tuple(running))
            try:
                await asyncio.sleep(0)
            finally:
                running.remove((number, work))

    tasks = [asyncio.create_task(ask(it, *arrival)) for it, arrival in enumerate(arrivals)]
    await asyncio.sleep(0)
    for task, (_, leaves) in zip(tasks, arrivals, strict=True):
        if leaves:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(1), turns.of("answers"):  # none is lost
        return seen


works = st.sampled_from(["answers", "vectors"])


@given(
    slots=st.integers(1, 4),
    texts=st.integers(1, 4),
    arrivals=st.lists(st.tuples(works, st.booleans()), max_size=12),
)
def test_one_kind_of_work_at_a_time_in_the_order_of_arrival(slots, texts, arrivals):
    seen = asyncio.run(played(slots, texts, arrivals))
    for together in seen:
        assert len(together) <= (slots if together[0][1] == "answers" else texts)
        assert len({work for _, work in together}) == 1
    began = [together[-1][0] for together in seen]
    assert began == sorted(began)
    assert {number for number, (_, leaves) in enumerate(arrivals) if not leaves} <= {*began}


async def test_vectors_are_not_overtaken_by_later_answers():
    turns = Turns(2, 2)
    async with asyncio.timeout(1), turns.of("answers"):
        made = asyncio.create_task(turns._wait("vectors"))
        later = asyncio.create_task(turns._wait("answers"))
        await asyncio.sleep(0)
        assert not made.done()
        assert not later.done()
    await made
    assert not later.done()
    later.cancel()
    with pytest.raises(asyncio.CancelledError):
        await later
